"""The image tokenizers of golden files: their sizes, forward values, and optimiser steps."""

import json
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from m3.config.schema import (
    FiniteScalarQuantizer,
    ImageTokenizerSettings,
    Optimizer,
    QuantizerSettings,
    Schedule,
    VectorQuantizer,
)
from m3.nn import fsq
from m3.reference.golden_file import GoldenFile
from m3.reference.weights import LEVELS
from m3.tokenizers.autoencoder import Autoencoder
from m3.tokenizers.base import ImageTokenizer
from m3.tokenizers.image_fsq import FSQTokenizer

STATE = "state/tokenizer.tokenizers.image."
_LEVELS = f"state/{LEVELS}"
_DOWNSAMPLE = re.compile(rf"{re.escape(STATE)}encoder\.cnn\.1\.\d+\.2\.conv\.weight")


def image_settings(golden: GoldenFile, schedule: Schedule) -> ImageTokenizerSettings:
    """Tell the sizes of a file's image tokenizer from the shapes of its weights."""
    channels, *_ = golden[f"{STATE}encoder.cnn.0.weight"].shape
    _, code_size, *_ = golden[f"{STATE}decoder.cnn.0.1.weight"].shape
    quantizer: QuantizerSettings = VectorQuantizer()
    sizes: dict[str, Any] = {}
    if _LEVELS in golden:
        quantizer = FiniteScalarQuantizer(kind="fsq", levels=tuple(golden[_LEVELS].tolist()))
    else:
        sizes = {"vocabulary": len(golden[f"{STATE}embedding.weight"])}
    given = json.loads(str(golden["config"])).get("tok_train")
    if given is not None:
        sizes["optimizer"] = Optimizer(
            learning_rate=given["lr"], weight_decay=given["weight_decay"], max_gradient_norm=given["clip"]
        )
    return ImageTokenizerSettings(
        quantizer=quantizer,
        channels=channels,
        downsamples=sum(_DOWNSAMPLE.fullmatch(name) is not None for name in golden),
        code_size=code_size,
        perceptual="none",
        schedule=schedule,
        **sizes,
    )


def image_quantities(image: ImageTokenizer, raw: Tensor, golden: GoldenFile) -> Iterator[tuple[str, Tensor]]:
    """Compute every forward value of an image tokenizer on raw images uint8 (B, T, 3, H, W), under a file's names."""
    assert isinstance(image, Autoencoder)
    images = image.normalise(raw)
    latents = image.encoder(images)
    tokens = image.latent_tokens(latents)
    yield "tokenizer/image_latents", latents
    yield "tokenizer/image_reconstruction", image.decoder(image.decode(tokens[..., None]))
    for name, loss in image.losses(raw.flatten(0, 1), perceptual=None).items():
        if name != "perceptual" or "tokenizer/loss/perceptual_loss" in golden:
            yield f"tokenizer/loss/{name}_loss", loss
    if isinstance(image, FSQTokenizer):
        down = image.down(latents)
        yield "tokenizer/image_fsq_latents", down
        yield "tokenizer/image_fsq_codes", fsq.quantise(down.movedim(1, -1), image.levels).movedim(-1, 1)
        yield "tokenizer/image_quantised", image.quantise(latents).maps
        yield "tokenizer/image_codebook", image.codebook


def fsq_quantities(golden: GoldenFile) -> Iterator[tuple[str, Tensor]]:
    """Compute the quantiser's values and gradients for all the levels in a file of functions."""
    for section in sorted({name.rpartition("/")[0] for name in golden if name.startswith("fsq/")}):
        levels = golden.tensor(f"{section}/levels")
        inputs = golden.tensor(f"{section}/inputs").requires_grad_()
        codes = fsq.quantise(inputs, levels)
        (gradient,) = torch.autograd.grad((codes * golden.tensor(f"{section}/output_weights")).sum(), inputs)
        indices = fsq.to_tokens(inputs, levels)
        yield f"{section}/bounded", fsq.bound(inputs, levels)
        yield f"{section}/codes", codes
        yield f"{section}/indices", indices
        yield f"{section}/all_codes", fsq.to_codes(torch.arange(int(levels.prod())), levels)
        yield f"{section}/input_gradients", gradient
