"""LPIPS, the perceptual distance of Zhang et al. 2018 (v0.1, VGG16), from two weight files on disk."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3.errors import UserError
from m3.nn.precision import full_precision
from m3.torch_files import read_torch_file

VGG_FILE = "vgg16-397923af.pth"
"""ImageNet weights of VGG16, as torchvision publishes them."""
LINEAR_FILE = "lpips-v0.1-vgg.pth"
"""The linear layers of LPIPS v0.1 'vgg', as its authors publish them."""

_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Indices of the convolutions of VGG16's ``features``; a distance is taken after each stage."""


class Lpips(nn.Module):
    """Mean LPIPS of image pairs. Frozen; it has no mode that differs in training.

    Args:
        vgg: state dictionary of VGG16; only ``features.*`` is used.
        linear: state dictionary of the five linear layers, ``lin{i}.model.1.weight`` (1, C, 1, 1).

    Raises:
        KeyError: a tensor is missing.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, vgg: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        self.stages = nn.ModuleList(nn.Sequential(*(_convolution(vgg, i) for i in stage)) for stage in _STAGES)
        self.weights = nn.ParameterList(linear[f"lin{i}.model.1.weight"].float() for i in range(len(_STAGES)))
        self.requires_grad_(False)

    def forward(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Compare images in [-1, 1], (N, 3, H, W) twice: a scalar; gradients flow to the second only."""
        with torch.no_grad():
            targets = self._features(images)
        distance = torch.zeros((), device=images.device)
        for weight, target, feature in zip(self.weights, targets, self._features(reconstructions), strict=True):
            with full_precision(images.device):
                distance = distance + F.conv2d((target.float() - feature.float()) ** 2, weight).mean()
        return distance

    def _features(self, images: Tensor) -> list[Tensor]:
        """Compute unit-length features (N, C, h, w) after each stage."""
        x = (images - self.shift) / self.scale
        features = []
        for i, stage in enumerate(self.stages):
            x = stage(x if i == 0 else F.max_pool2d(x, 2))
            features.append(x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-10))
        return features


def _convolution(vgg: Mapping[str, Tensor], index: int) -> nn.Sequential:
    weight, bias = vgg[f"features.{index}.weight"].float(), vgg[f"features.{index}.bias"].float()
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return nn.Sequential(layer, nn.ReLU())


def load_lpips(folder: Path) -> Lpips:
    """Load LPIPS from the two files in ``folder``.

    Raises:
        UserError: a file is missing or is not what its name says.
    """
    missing = [name for name in (VGG_FILE, LINEAR_FILE) if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"tokenizer.perceptual is lpips, but {' and '.join(missing)} not found in {folder}: "
            "`m3 pretrained` downloads them, or set tokenizer.perceptual to none"
        )
    vgg, linear = (read_torch_file(folder / name) for name in (VGG_FILE, LINEAR_FILE))
    try:
        lpips = Lpips(vgg, linear)
        lpips(*torch.zeros(2, 1, 3, 16, 16))  # fails where layers do not fit together
    except (KeyError, AttributeError, RuntimeError) as error:
        raise UserError(f"the perceptual weights in {folder} are of another kind ({error})") from error
    return lpips
