"""LPIPS with made-up weights of few channels, loaded from files as the published ones are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from m3.errors import UserError
from m3.nn.perceptual import LINEAR_FILE, VGG_FILE, load_lpips
from m3.nn.precision import autocast

CHANNELS = (2, 3, 4, 3, 2)
"""Of the five stages; VGG16 has 64, 128, 256, 512, 512."""
CONVOLUTIONS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Their positions in VGG16's ``features``, by stage."""


def made_up_weights() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    vgg = {"classifier.0.weight": torch.zeros(1)}
    linear = {}
    inputs = 3
    for stage, (channels, positions) in enumerate(zip(CHANNELS, CONVOLUTIONS, strict=True)):
        for position in positions:
            vgg[f"features.{position}.weight"] = torch.randn(channels, inputs, 3, 3, generator=generator)
            vgg[f"features.{position}.bias"] = torch.randn(channels, generator=generator)
            inputs = channels
        linear[f"lin{stage}.model.1.weight"] = torch.rand(1, channels, 1, 1, generator=generator)
    return vgg, linear


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    vgg, linear = made_up_weights()
    torch.save(vgg, tmp_path / VGG_FILE)
    torch.save(linear, tmp_path / LINEAR_FILE)
    return tmp_path


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.rand(2, 3, 16, 16, generator=generator) * 2 - 1 for _ in range(2))
    return first, second


def numpy_features(image: np.ndarray, vgg: dict[str, Tensor]) -> list[np.ndarray]:
    """Unit-length features (C, h, w) after each stage, of one image (3, H, W)."""
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    x = (image - shift[:, None, None]) / scale[:, None, None]
    stages = []
    for stage, positions in enumerate(CONVOLUTIONS):
        if stage > 0:
            channels, height, width = x.shape
            x = x.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))
        for position in positions:
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
            weight, bias = (vgg[f"features.{position}.{kind}"].numpy() for kind in ("weight", "bias"))
            x = np.maximum(np.einsum("chwij,ocij->ohw", patches, weight) + bias[:, None, None], 0)
        stages.append(x / (np.sqrt((x**2).sum(axis=0)) + 1e-10))
    return stages


def test_equals_the_definition(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    vgg, linear = made_up_weights()
    distances = []
    for first, second in zip(*(i.double().numpy() for i in images), strict=True):
        pairs = zip(numpy_features(first, vgg), numpy_features(second, vgg), strict=True)
        weights = [linear[f"lin{stage}.model.1.weight"].numpy()[0] for stage in range(5)]
        distances.append(sum((w * (a - b) ** 2).sum(axis=0).mean() for w, (a, b) in zip(weights, pairs, strict=True)))
    assert load_lpips(folder)(*images).item() == pytest.approx(np.mean(distances), rel=1e-4)


def test_is_summed_in_float32_also_in_bf16(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    lpips = load_lpips(folder)
    with autocast("bf16", torch.device("cpu")):
        rough = lpips(*images)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(lpips(*images).item(), rel=0.02)


def test_an_image_has_no_distance_to_itself(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    assert load_lpips(folder)(images[0], images[0]).item() == 0


def test_training_mode_changes_nothing(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    lpips = load_lpips(folder)
    assert torch.equal(lpips.train()(*images), lpips.eval()(*images))


def test_gradients_reach_the_reconstruction_only(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    lpips = load_lpips(folder)
    image, reconstruction = (i.requires_grad_() for i in images)
    lpips(image, reconstruction).backward()
    assert image.grad is None
    assert reconstruction.grad is not None
    assert reconstruction.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in lpips.parameters())


@pytest.mark.parametrize("name", [VGG_FILE, LINEAR_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        load_lpips(folder)


@pytest.mark.parametrize("name", [VGG_FILE, LINEAR_FILE])
@pytest.mark.parametrize("kept", [0, 100, -100])
def test_a_truncated_file_is_refused(folder: Path, name: str, kept: int) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:kept])
    with pytest.raises(UserError, match="damaged"):
        load_lpips(folder)


@pytest.mark.parametrize("content", [{"other": torch.zeros(1)}, [torch.zeros(1)], torch.zeros(3), "text", Path("code")])
@pytest.mark.parametrize("name", [VGG_FILE, LINEAR_FILE])
def test_a_foreign_file_is_refused(folder: Path, name: str, content: Any) -> None:
    torch.save(content, folder / name)
    with pytest.raises(UserError, match=f"{name}|of another kind"):
        load_lpips(folder)


def test_a_file_of_another_network_is_refused(folder: Path) -> None:
    """Its layers have the right names, but other sizes."""
    _, linear = made_up_weights()
    torch.save(linear | {"lin2.model.1.weight": torch.ones(1, 7, 1, 1)}, folder / LINEAR_FILE)
    with pytest.raises(UserError, match="of another kind"):
        load_lpips(folder)
