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
    shell:
        "python -m m3 pretrained {wildcards.file:q} --folder pretrained > {log:q} 2>&1"
