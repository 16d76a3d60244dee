"""The FSQ tokenizer against the authors' code: equal as it is, and different with any of these faults put in."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exercised import check_exercised
from torch import Tensor, nn

import m3.tokenizers.image_fsq
from m3.config.schema import FiniteScalarQuantizer, Schedule
from m3.nn import fsq
from m3.reference.golden import verify_file
from m3.reference.golden_file import GoldenFile
from m3.reference.golden_tokenizer import image_settings
from m3.reference.weights import from_reference
from m3.specs import ModalitySpec, ObservationSpec
from m3.tokenizers.autoencoder import Autoencoder, Quantised
from m3.tokenizers.image_fsq import FSQTokenizer
from m3.tokenizers.multimodal import Tokenizer

FOLDER = Path(__file__).parents[1] / "golden/simulus"
FUNCTIONS = FOLDER / "attention_fsq_functions.npz"
AGENT = FOLDER / "attention_fsq_image_discrete.npz"
Patch = pytest.MonkeyPatch


@pytest.mark.parametrize(
    ("file", "function"),
    [
        (FUNCTIONS, "m3.nn.fsq.bound"),
        (FUNCTIONS, "m3.nn.fsq.quantise"),
        (FUNCTIONS, "m3.nn.fsq.to_tokens"),
        (FUNCTIONS, "m3.nn.fsq.to_codes"),
        (AGENT, "m3.tokenizers.autoencoder.Autoencoder.losses"),
        (AGENT, "m3.tokenizers.autoencoder.Autoencoder.encode"),
        (AGENT, "m3.tokenizers.autoencoder.Autoencoder.decode"),
        (AGENT, "m3.tokenizers.image_fsq.FSQTokenizer.quantise"),
        (AGENT, "m3.tokenizers.image_fsq.FSQTokenizer.latent_tokens"),
        (AGENT, "m3.training.components.TokenizerComponent.compute"),
        (AGENT, "m3.training.component.Component.step"),
    ],
)
def test_a_file_exercises_what_it_claims_to_cover(file: Path, function: str, monkeypatch: Patch) -> None:
    check_exercised(file, function, monkeypatch)


def bound_with(margin: float = 0.001, even_offset: float = 0.5, shift: Callable[[Tensor], Tensor] = torch.tan) -> Any:
    """The bound with other constants."""

    def bound(latents: Tensor, levels: Tensor) -> Tensor:
        half = (levels - 1) * (1 - margin) / 2
        offset = (levels % 2 == 0) * even_offset
        return half * torch.tanh(latents.float() + shift(offset / half)) - offset

    return lambda patch: patch.setattr(fsq, "bound", bound)


def with_the_last_digit_fastest(patch: Patch) -> None:
    patch.setattr(fsq, "_strides", lambda levels: levels.flip(0).cumprod(0).flip(0) // levels)


def quantise_with(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Patch], None]:
    """Another quantisation, from bounded latents and levels."""
    return lambda patch: patch.setattr(
        fsq, "quantise", lambda latents, levels: function(fsq.bound(latents, levels), levels)
    )


def straight_through(bounded: Tensor, rounded: Tensor) -> Tensor:
    return rounded.detach() + bounded - bounded.detach()


FAULTS_OF_FUNCTIONS: dict[str, Callable[[Patch], None]] = {
    "no margin": bound_with(margin=0),
    "no offset of even levels": bound_with(even_offset=0),
    "the inverse hyperbolic tangent in the shift": bound_with(shift=torch.atanh),
    "no shift": bound_with(shift=torch.zeros_like),
    "the last dimension fastest": with_the_last_digit_fastest,
    "no gradient through the rounding": quantise_with(lambda b, levels: b.round() / (levels // 2)),
    "rounding down": quantise_with(lambda b, levels: straight_through(b, b.floor()) / (levels // 2)),
    "codes that fill [-1, 1]": quantise_with(lambda b, levels: straight_through(b, b.round()) / ((levels - 1) / 2)),
    "a gradient without the width": quantise_with(lambda b, levels: straight_through(b, b.round() / (levels // 2))),
}


@pytest.mark.parametrize("fault", FAULTS_OF_FUNCTIONS)
def test_a_fault_of_the_functions_is_found(fault: str, monkeypatch: Patch) -> None:
    FAULTS_OF_FUNCTIONS[fault](monkeypatch)
    assert not all(comparison.met for comparison in verify_file(FUNCTIONS))


def with_first_norm(norm: Callable[[int], nn.Module]) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(m3.tokenizers.image_fsq, "group_norm", norm)


def with_latents_detached(patch: Patch) -> None:
    quantise = FSQTokenizer.quantise
    patch.setattr(FSQTokenizer, "quantise", lambda self, latents: quantise(self, latents.detach()))


def with_a_fixed_way_up(patch: Patch) -> None:
    """The gradient passes what brings codes up, but does not train it."""

    def quantise(self: FSQTokenizer, latents: Tensor) -> Quantised:
        points = fsq.quantise(self.down(latents).movedim(1, -1), self.levels).movedim(-1, 1)
        return Quantised(nn.functional.conv2d(points, self.up.weight.detach(), self.up.bias), {})

    patch.setattr(FSQTokenizer, "quantise", quantise)


def with_a_commitment(patch: Patch) -> None:
    quantise = FSQTokenizer.quantise

    def committed(self: FSQTokenizer, latents: Tensor) -> Quantised:
        quantised = quantise(self, latents)
        loss = 0.25 * (latents - quantised.maps.detach()).square().mean()
        return quantised._replace(losses={"commitment": loss})

    def losses(self: Autoencoder, raw: Tensor, perceptual: None) -> dict[str, Tensor]:
        parts = of_parts(self, raw, perceptual)
        commitment = parts.pop("commitment")
        return {**parts, "reconstruction": parts["reconstruction"] + commitment}

    of_parts = Autoencoder.losses
    patch.setattr(FSQTokenizer, "quantise", committed)
    patch.setattr(Autoencoder, "losses", losses)


def with_a_table_without_bias(patch: Patch) -> None:
    codebook = FSQTokenizer.codebook.fget
    assert codebook is not None
    patch.setattr(FSQTokenizer, "codebook", property(lambda self: codebook(self) - self.up.bias))


def with_columns_first(patch: Patch) -> None:
    tokens = FSQTokenizer.latent_tokens
    patch.setattr(FSQTokenizer, "latent_tokens", lambda self, latents: tokens(self, latents.transpose(2, 3)))


def with_adam(**changes: Any) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(torch.optim, "AdamW", partial(torch.optim.AdamW, **changes))


FAULTS: dict[str, Callable[[Patch], None]] = {
    "no first norm in the decoder": with_first_norm(lambda channels: nn.GroupNorm(channels, channels)),
    "one group in the decoder's first norm": with_first_norm(lambda channels: nn.GroupNorm(1, channels, eps=1e-6)),
    "a large epsilon in the decoder's first norm": with_first_norm(lambda channels: nn.GroupNorm(8, channels, eps=1)),
    "no gradient to the encoder": with_latents_detached,
    "no gradient to what brings codes up": with_a_fixed_way_up,
    "a commitment loss": with_a_commitment,
    "a table without the bias": with_a_table_without_bias,
    "tokens by columns": with_columns_first,
    "another beta2": with_adam(betas=(0.9, 0.99)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_tokenizer_is_found(fault: str, monkeypatch: Patch) -> None:
    FAULTS[fault](monkeypatch)
    assert not all(comparison.met for comparison in verify_file(AGENT))


def reference_names(channels: int, downs: int, code_size: int, levels: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The state of an FSQ tokenizer of other sizes, under the names of the authors."""
    rng = np.random.default_rng(0)
    widths = [channels * 2**i for i in range(downs + 1)]
    shapes: dict[str, tuple[int, ...]] = {"encoder.cnn.0": (channels, 3, 3, 3)}
    for i, width in enumerate(widths[:-1]):
        shapes[f"encoder.cnn.1.{i}.0"] = (width,)
        shapes[f"encoder.cnn.1.{i}.2.conv"] = (2 * width, width, 3, 3)
    shapes |= {"encoder.cnn.2.0": (widths[-1],), "encoder.cnn.2.2": (code_size, widths[-1], 3, 3)}
    shapes |= {"decoder.cnn.0.0": (code_size,), "decoder.cnn.0.1": (widths[-1], code_size, 3, 3)}
    for i, width in enumerate(widths[:0:-1]):
        shapes[f"decoder.cnn.1.{i}.0"] = (width,)
        shapes[f"decoder.cnn.1.{i}.2.conv"] = (width // 2, width, 3, 3)
    shapes |= {"decoder.cnn.2.0": (channels,), "decoder.cnn.2.2": (3, channels, 3, 3)}
    shapes |= {"pre_quant_conv": (len(levels), code_size, 1, 1), "post_quant_conv": (code_size, len(levels), 1, 1)}
    prefix = "state/tokenizer.tokenizers.image."
    state = {}
    for name, shape in shapes.items():
        state[f"{prefix}{name}.weight"] = rng.normal(size=shape).astype(np.float32)
        state[f"{prefix}{name}.bias"] = rng.normal(size=shape[:1]).astype(np.float32)
    state[f"{prefix}fsq._levels"] = np.array(levels)
    state[f"{prefix}fsq._basis"] = np.cumprod([1, *levels[:-1]])
    return state


@pytest.mark.parametrize("levels", [(8, 6, 5), (5, 5), (7, 2, 3, 4)])
def test_sizes_come_from_the_arrays_of_a_file(levels: tuple[int, ...], tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", config="{}", **reference_names(24, 3, 40, levels))
    golden = GoldenFile(tmp_path / "other.npz")
    settings = image_settings(golden, Schedule(start_after_epoch=0, steps_per_epoch=1, batch_size=1))
    assert isinstance(settings.quantizer, FiniteScalarQuantizer)
    assert settings.quantizer.levels == levels
    assert (settings.channels, settings.downsamples, settings.code_size) == (24, 3, 40)
    assert settings.vocabulary == np.prod(levels)
    tokenizer = Tokenizer(ObservationSpec({"image": ModalitySpec((3, 32, 32), "uint8")}), settings)
    wanted = {f"tokenizer.{name}": value for name, value in tokenizer.state_dict().items()}
    translation = from_reference(golden.below("state/"), wanted)
    assert set(translation.weights) == set(wanted)
    assert {name.rpartition(".")[2] for name in translation.unused} == {"_levels", "_basis"}
    for name, value in translation.weights.items():
        assert value.shape == wanted[name].shape, name
