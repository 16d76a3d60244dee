# Weights of the perceptual distance that Atari's tokenizer trains with, for machines that reach the internet. Others put
# the two files into pretrained/ by hand; a file that is there is not downloaded again.


localrules:
    perceptual_weights,
    download_pretrained,


rule perceptual_weights:
    input:
        weights=expand("pretrained/{file}", file=PRETRAINED),


rule download_pretrained:
    output:
        weights="pretrained/{file}",
    log:
        "logs/pretrained/{file}.log",
    wildcard_constraints:
        file="|".join(re.escape(file) for file in PRETRAINED),
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=60,
    params:
        url=lambda wildcards: PRETRAINED[wildcards.file][0],
        sha256=lambda wildcards: PRETRAINED[wildcards.file][1],
    shell:
        # under its name only once it is what it should be
        "(curl --fail --silent --show-error --location --retry 3 --output {output.weights:q}.download {params.url:q}"
        " && echo {params.sha256:q}' *'{output.weights:q}.download | sha256sum --check"
        " && mv {output.weights:q}.download {output.weights:q}"
        " || (rm -f {output.weights:q}.download; exit 1)) > {log:q} 2>&1"
        " || (echo 'error: {wildcards.file} cannot be downloaded: put it into pretrained/ by hand (from {params.url}),"
        " or set tokenizer.perceptual to none, as the variant no-perceptual does' >> {log:q}; exit 1)"
