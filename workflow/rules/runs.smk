# One run: settings -> training -> scores.


rule resolve:
    input:
        experiment=ancient(EXPERIMENT),
    output:
        settings=suite.run_file(SETTINGS),
    log:
        "logs/resolve/{benchmark}/{variant}/{task}/seed-{seed}-{hash}.log",
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        run=subpath(output.settings, parent=True),
        task=lambda wildcards: suite.run_of(wildcards).task,
        changes=suite.change_words(GIVEN),
    shell:
        "python -m m3 resolve --experiment {input.experiment:q} --benchmark {wildcards.benchmark:q}"
        " --variant {wildcards.variant:q} --task {params.task:q} --seed {wildcards.seed:q} --run {params.run:q}"
        " {params.changes:q} > {log:q} 2>&1"


# Checkpoints in the run's folder are no outputs: Snakemake would delete them when a job fails or starts again.
# The same holds for {log}, so that each attempt's log is also kept under a name of its own. What stops the training
# does not stop its log: the last words and the last checkpoint come after the signal.
rule train:
    input:
        settings=ancient(settings_file),
        pretrained=ancient(perceptual_files),
    output:
        weights=suite.run_file(WEIGHTS),
        metrics=suite.run_file(METRICS),
    log:
        "logs/train/{benchmark}/{variant}/{task}/seed-{seed}.log",
    wildcard_constraints:
        variant=suite.variant_pattern(PLAN, own_program=False),
    conda:
        "../../envs/train.yaml"
    threads: suite.job_resource(PLAN, "train", "threads")
    resources:
        gpu=suite.job_resource(PLAN, "train", "gpu"),
        mem_mb=suite.job_resource(PLAN, "train", "mem_mb"),
        runtime=suite.job_resource(PLAN, "train", "runtime"),
        device=suite.job_device(PLAN, "train"),
        runs_per_gpu=1,
    params:
        run=subpath(output.weights, parent=True),
        logs=suite.run_file(LOGS),
        tracking=suite.tracking_arguments(PLAN),
    shell:
        "mkdir -p {params.logs:q} && "
        + JOBS.train(PLAN.experiment.commands.train)
        + " --config {input.settings:q} --run {params.run:q} --device {resources.device:q} --workers {threads}"
        " {params.tracking:q} 2>&1"
        " | (trap '' INT TERM; exec tee {log:q} {params.logs:q}/train-$(date -u +%Y%m%dT%H%M%SZ).log)"


# Before further trainings: scores, and what is wrong with them, show while the others still wait for a GPU.
rule evaluate:
    input:
        weights=rules.train.output.weights,
    output:
        scores=suite.run_file(SCORES),
    log:
        "logs/evaluate/{benchmark}/{variant}/{task}/seed-{seed}.log",
    wildcard_constraints:
        variant=suite.variant_pattern(PLAN, own_program=False),
    priority: 1
    conda:
        "../../envs/train.yaml"
    threads: suite.job_resource(PLAN, "evaluate", "threads")
    resources:
        gpu=suite.job_resource(PLAN, "evaluate", "gpu"),
        mem_mb=suite.job_resource(PLAN, "evaluate", "mem_mb"),
        runtime=suite.job_resource(PLAN, "evaluate", "runtime"),
        device=suite.job_device(PLAN, "evaluate"),
        runs_per_gpu=1,
    params:
        run=subpath(input.weights, parent=True),
        code=lambda wildcards: suite.own_code(PLAN, suite.run_of(wildcards)),
        episodes=lambda wildcards: PLAN.final_episodes(wildcards.benchmark),
    shell:
        JOBS.with_gpu(PLAN.experiment.commands.evaluate)
        + " --run {params.run:q} --episodes {params.episodes:q} --output {output.scores:q}"
        " --device {resources.device:q} --workers {threads} {params.code:q} 2>&1 | tee {log:q}"


# A variant's own program does both, and its results are checked.
rule run_program:
    input:
        settings=ancient(settings_file),
    output:
        scores=suite.run_file(SCORES),
        metrics=suite.run_file(METRICS),
    log:
        "logs/run_program/{benchmark}/{variant}/{task}/seed-{seed}.log",
    wildcard_constraints:
        variant=suite.variant_pattern(PLAN, own_program=True),
    conda:
        "../../envs/train.yaml"
    threads: suite.job_resource(PLAN, "train", "threads")
    resources:
        gpu=suite.job_resource(PLAN, "train", "gpu"),
        mem_mb=suite.job_resource(PLAN, "train", "mem_mb"),
        runtime=suite.job_resource(PLAN, "train", "runtime"),
        device=suite.job_device(PLAN, "train"),
        runs_per_gpu=1,
    params:
        run=subpath(output.scores, parent=True),
        episodes=lambda wildcards: PLAN.final_episodes(wildcards.benchmark),
    shell:
        JOBS.with_gpu("python -u -m m3 run-program")
        + " --config {input.settings:q} --run {params.run:q} --episodes {params.episodes:q}"
        " --device {resources.device:q} 2>&1 | tee {log:q}"


# New episodes of the trained agent: how well its world model predicts them.
rule diagnose:
    input:
        weights=rules.train.output.weights,
    output:
        diagnosis=suite.run_file(DIAGNOSIS),
    log:
        "logs/diagnose/{benchmark}/{variant}/{task}/seed-{seed}.log",
    wildcard_constraints:
        variant=suite.variant_pattern(PLAN, own_program=False),
    conda:
        "../../envs/train.yaml"
    threads: suite.job_resource(PLAN, "evaluate", "threads")
    resources:
        gpu=suite.job_resource(PLAN, "evaluate", "gpu"),
        mem_mb=suite.job_resource(PLAN, "evaluate", "mem_mb"),
        runtime=suite.job_resource(PLAN, "evaluate", "runtime"),
        device=suite.job_device(PLAN, "evaluate"),
        runs_per_gpu=1,
    params:
        run=subpath(input.weights, parent=True),
        code=lambda wildcards: suite.own_code(PLAN, suite.run_of(wildcards)),
    shell:
        JOBS.with_gpu("python -u -m m3 diagnose")
        + " --run {params.run:q} --output {output.diagnosis:q} --device {resources.device:q} {params.code:q} > {log:q} 2>&1"
