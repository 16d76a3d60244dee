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
        "(curl --fail --silent --show-error --location --retry 3 --output {output.weights} {params.url:q}"
        " && echo '{params.sha256}  {output.weights}' | sha256sum --check) > {log} 2>&1"
        " || (echo 'error: {wildcards.file} cannot be downloaded: put it into pretrained/ by hand (from {params.url}),"
        " or set tokenizer.perceptual to none, as the variant no-perceptual does' >> {log}; exit 1)"
