# Weights of the perceptual distance that Atari's tokenizer trains with, for machines that reach the internet. Others put
# the two files into pretrained/ by hand; a file that is there is not downloaded again.

PRETRAINED = {
    "vgg16-397923af.pth": (
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "lpips-v0.1-vgg.pth": (
        "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
}


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
