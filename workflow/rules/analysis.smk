# All runs of a benchmark -> one table of scores -> statistics -> figures and tables. Nothing here imports torch.


rule collect:
    input:
        published=suite.published_files(),
        benchmark=lambda wildcards: suite.benchmark_file(wildcards.benchmark),
        scores=lambda wildcards: suite.run_files(SCORES, analysis_of(wildcards).runs),
        metrics=lambda wildcards: suite.run_files(METRICS, analysis_of(wildcards).runs),
        score_files=lambda wildcards: analysis_of(wildcards).score_files,
    output:
        scores=analyses.statistics_file(SCORE_TABLE),
    log:
        "logs/collect/{scope}{benchmark}.log",
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        scores=lambda wildcards: analysis_of(wildcards).scores,
        runs=lambda wildcards: [suite.run_folder(run) for run in analysis_of(wildcards).runs],
        labels=lambda wildcards: [f"{v}={PLAN.variants[v].label}" for v in analysis_of(wildcards).variants],
        methods=lambda wildcards: analysis_of(wildcards).methods,
    shell:
        'python -m m3 collect --benchmark {wildcards.benchmark:q} --published "$(dirname {input.published[0]:q})"'
        " --scores {params.scores:q} --methods {params.methods:q}"
        " --runs {params.runs:q} --labels {params.labels:q} --score-files {input.score_files:q}"
        " --output {output.scores:q} > {log:q} 2>&1"


rule aggregate:
    input:
        scores=rules.collect.output.scores,
    output:
        aggregates=analyses.statistics_file(AGGREGATES),
        csv=analyses.statistics_file(AGGREGATES_CSV),
    log:
        "logs/aggregate/{scope}{benchmark}.log",
    conda:
        "../../envs/analysis.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        draws=lambda wildcards: analyses.draws(PLAN, wildcards.scope),
    shell:
        "python -m m3 aggregate --scores {input.scores:q} {params.draws} --cores {threads}"
        " --output {output.aggregates:q} --csv {output.csv:q} > {log:q} 2>&1"


# Which figures and tables there are depends on the benchmark and on whose scores are shown: one rule for each.
for analysis in ANALYSES:

    rule:
        name:
            f"figures_{analysis.name}"
        input:
            scores=analyses.statistics_file(SCORE_TABLE, analysis.scope),
            aggregates=analyses.statistics_file(AGGREGATES, analysis.scope),
        output:
            **analyses.figure_files(analysis),
        log:
            f"logs/figures/{analysis.scope}{{benchmark}}.log",
        wildcard_constraints:
            benchmark=re.escape(analysis.benchmark),
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=30,
        params:
            folder=subpath(output.iqm_pdf, parent=True),
        shell:
            "python -m m3 figures --scores {input.scores:q} --aggregates {input.aggregates:q} --output {params.folder:q}"
            " > {log:q} 2>&1"

    rule:
        name:
            f"tables_{analysis.name}"
        input:
            scores=analyses.statistics_file(SCORE_TABLE, analysis.scope),
            aggregates=analyses.statistics_file(AGGREGATES, analysis.scope),
        output:
            **analyses.table_files(analysis),
        log:
            f"logs/tables/{analysis.scope}{{benchmark}}.log",
        wildcard_constraints:
            benchmark=re.escape(analysis.benchmark),
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=30,
        params:
            folder=subpath(output.table_scores_md, parent=True),
        shell:
            "python -m m3 tables --scores {input.scores:q} --aggregates {input.aggregates:q} --output {params.folder:q}"
            " > {log:q} 2>&1"

    if analyses.diagnosed_runs(PLAN, analysis):

        rule:
            name:
                f"diagnosis_{analysis.name}"
            input:
                diagnoses=diagnosed_files(DIAGNOSIS, analysis),
                scores=diagnosed_files(SCORES, analysis),
            output:
                **analyses.diagnosis_files(analysis),
            log:
                f"logs/diagnosis/{analysis.scope}{{benchmark}}.log",
            wildcard_constraints:
                benchmark=re.escape(analysis.benchmark),
            conda:
                "../../envs/analysis.yaml"
            threads: 1
            resources:
                mem_mb=4000,
                runtime=30,
            params:
                runs=[suite.run_folder(run) for run in analyses.diagnosed_runs(PLAN, analysis)],
                benchmark_label=analysis.label,
                labels=[f"{v}={PLAN.variants[v].label}" for v in analysis.variants],
                folder=subpath(output.diagnosis_pdf, parent=True),
            shell:
                "python -m m3 diagnosis-figure --runs {params.runs:q} --benchmark-label {params.benchmark_label:q}"
                " --labels {params.labels:q} --output {params.folder:q} > {log:q} 2>&1"


for scope in dict.fromkeys(analysis.scope for analysis in ANALYSES):

    rule:
        name:
            f"overview_{analyses.scope_name(scope)}"
        input:
            scores=analyses.statistics_files([a for a in ANALYSES if a.scope == scope], SCORE_TABLE),
            aggregates=analyses.statistics_files([a for a in ANALYSES if a.scope == scope], AGGREGATES),
        output:
            **analyses.overview_files(scope),
        log:
            f"logs/overview/{scope}overview.log",
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=10,
        params:
            folder=subpath(output.overview_pdf, parent=True),
        shell:
            "python -m m3 overview --scores {input.scores:q} --aggregates {input.aggregates:q} --output {params.folder:q}"
            " > {log:q} 2>&1"
