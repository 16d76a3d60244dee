"""The tokenizer of images with a fixed lattice of codes."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from m3.config.schema import ImageTokenizerSettings, Schedule
from m3.nn import fsq
from m3.nn.precision import autocast
from m3.specs import ModalitySpec
from m3.tokenizers.image_fsq import FSQTokenizer

LEVELS = (4, 3, 5)


def make_tokenizer(shape: tuple[int, ...] = (3, 16, 16), **settings: Any) -> FSQTokenizer:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"channels": 8, "downsamples": 2, "code_size": 16, **settings}
    quantizer = {"kind": "fsq", "levels": LEVELS}
    schedule = Schedule(start_after_epoch=0, steps_per_epoch=1, batch_size=1)
    image = ImageTokenizerSettings.model_validate({"quantizer": quantizer, **sizes, "schedule": schedule})
    return FSQTokenizer(ModalitySpec(shape, "uint8"), image).eval()


def random_images(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_tokens_are_those_of_the_latents_brought_down_in_raster_order() -> None:
    tokenizer, raw = make_tokenizer(), random_images(2, 3, 3, 16, 16)
    tokens = tokenizer.encode(raw)
    assert tokens.shape == (2, 3, 16, 1)
    assert tokenizer.tokens.vocabularies == (60,)
    down = tokenizer.down(tokenizer.encoder(raw.flatten(0, 1) / 127.5 - 1))
    for image, row, column in ((0, 0, 0), (4, 1, 3), (5, 3, 2)):
        expected = fsq.to_tokens(down[image, :, row, column], torch.tensor(LEVELS))
        assert tokens.flatten(0, 1)[image, 4 * row + column, 0] == expected


def test_the_codebook_is_the_lattice_brought_up_and_what_the_policy_sees() -> None:
    tokenizer = make_tokenizer()
    assert tokenizer.codebook.shape == (60, 16)
    tokens = torch.arange(16).view(1, 16, 1)
    maps = tokenizer.decode(tokens)
    points = fsq.to_codes(torch.arange(16), torch.tensor(LEVELS)).T.view(1, 3, 4, 4)
    assert_close(maps, tokenizer.up(points))
    assert not maps.requires_grad
    assert not tokenizer.codebook.requires_grad


def test_the_codebook_moves_with_the_layer_that_brings_codes_up() -> None:
    tokenizer = make_tokenizer()
    before = tokenizer.codebook.clone()
    with torch.no_grad():
        tokenizer.up.weight *= 2
    assert_close(tokenizer.codebook - tokenizer.up.bias, 2 * (before - tokenizer.up.bias))


def test_losses_are_those_of_the_quantised_reconstruction_alone() -> None:
    tokenizer, raw = make_tokenizer(), random_images(4, 3, 16, 16)
    images = raw / 127.5 - 1
    reconstructions = tokenizer.decoder(tokenizer.decode(tokenizer.encode(raw)))
    losses = tokenizer.losses(raw, lambda one, other: (one - other).abs().max())
    assert set(losses) == {"reconstruction", "perceptual"}
    assert_close(losses["reconstruction"], F.mse_loss(reconstructions, images))
    assert_close(losses["perceptual"], (reconstructions - images).abs().max())
    assert tokenizer.losses(raw, None)["perceptual"] == 0


def test_gradients_reach_every_parameter_through_the_rounding() -> None:
    tokenizer = make_tokenizer()
    sum(tokenizer.losses(random_images(4, 3, 16, 16), None).values()).backward()
    without = [name for name, p in tokenizer.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_training_makes_better_reconstructions() -> None:
    tokenizer, raw = make_tokenizer().train(), random_images(8, 3, 16, 16)
    optimizer = torch.optim.AdamW(tokenizer.parameters(), lr=0.003)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = tokenizer.losses(raw, None)["reconstruction"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_nothing_depends_on_the_mode_or_the_batch() -> None:
    """Group norms only: also the loss of a frame is the same whatever else is in the batch."""
    tokenizer, raw = make_tokenizer(), random_images(6, 3, 16, 16)
    tokens = tokenizer.encode(raw)
    evaluated = tokenizer.losses(raw[2:3], None)["reconstruction"]
    tokenizer.train()
    assert torch.equal(tokenizer.encode(raw[2:4]), tokens[2:4])
    alone = torch.stack([tokenizer.losses(raw[i : i + 1], None)["reconstruction"] for i in range(6)])
    assert_close(alone[2], evaluated)
    assert_close(tokenizer.losses(raw, None)["reconstruction"], alone.mean())


def test_tokens_and_codebook_are_float32_also_while_training_in_another_precision() -> None:
    tokenizer, raw = make_tokenizer(), random_images(6, 3, 16, 16)
    tokens, codebook = tokenizer.encode(raw), tokenizer.codebook
    with autocast("bf16", torch.device("cpu")):
        assert torch.equal(tokenizer.encode(raw), tokens)
        assert torch.equal(tokenizer.codebook, codebook)
        assert tokenizer.losses(raw, None)["reconstruction"].isfinite()


def test_reconstructions_are_raw_images() -> None:
    tokenizer, raw = make_tokenizer(shape=(6, 16, 16)), random_images(2, 3, 6, 16, 16)
    tokens = tokenizer.encode(raw)
    images = tokenizer.reconstruct(tokens)
    assert (images.shape, images.dtype) == (raw.shape, torch.uint8)
    codes = tokenizer.decode(tokens)[1, 2]
    expected = tokenizer.decoder(codes.view(2, 16, 4, 4)).clamp(-1, 1)
    assert_close(images[1, 2].view(2, 3, 16, 16) / 127.5 - 1, expected, atol=0.0041, rtol=0)


def test_a_code_that_the_first_norm_cannot_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="code_size 12 must be a multiple of 8 with the quantizer fsq"):
        make_tokenizer(code_size=12)


@pytest.mark.parametrize("levels", [[], [8, 1], [8, 2.5]])
def test_levels_are_whole_numbers_above_1(levels: list[Any]) -> None:
    with pytest.raises(ValueError, match="levels"):
        ImageTokenizerSettings.model_validate(
            {
                "quantizer": {"kind": "fsq", "levels": levels},
                "schedule": {"start_after_epoch": 0, "steps_per_epoch": 1, "batch_size": 1},
            }
        )
