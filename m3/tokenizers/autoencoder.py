"""The convolutional autoencoder of images, the same for all kinds of codes (M3 section 3.1 and appendix)."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3.config.schema import NORM_GROUPS, ImageTokenizerSettings
from m3.errors import UserError
from m3.nn.precision import full_precision
from m3.nn.upsampling import UpsampleConv
from m3.specs import ModalitySpec
from m3.tokenizers.base import ImageTokenizer, Perceptual, TokenSpec, ViewSpec

Norm = Callable[[int], nn.Module]
"""Makes the norm of a number of channels."""


def group_norm(channels: int) -> nn.Module:
    """Make the norm of all layers but, in some tokenizers, the decoder's first."""
    return nn.GroupNorm(NORM_GROUPS, channels, eps=1e-6)


def _norm_silu(channels: int) -> list[nn.Module]:
    return [group_norm(channels), nn.SiLU()]


def _downsample(channels: int) -> nn.Sequential:
    pad = nn.ZeroPad2d((0, 1, 0, 1))
    return nn.Sequential(*_norm_silu(channels), pad, nn.Conv2d(channels, 2 * channels, 3, stride=2))


def _upsample(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(*_norm_silu(channels), UpsampleConv(channels, outputs))


def _output(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(*_norm_silu(channels), nn.Conv2d(channels, outputs, 3, padding=1))


def _encoder(channels: int, downsamples: int, code_size: int) -> nn.Sequential:
    widths = [channels * 2**i for i in range(downsamples + 1)]
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.Sequential(*(_downsample(width) for width in widths[:-1])),
        _output(widths[-1], code_size),
    )


def _decoder(channels: int, downsamples: int, code_size: int, norm: Norm) -> nn.Sequential:
    widths = [channels * 2**i for i in range(downsamples, -1, -1)]
    return nn.Sequential(
        nn.Sequential(norm(code_size), nn.Conv2d(code_size, widths[0], 3, padding=1)),
        nn.Sequential(*(_upsample(width, half) for width, half in pairwise(widths))),
        _output(widths[-1], 3),
    )


class Quantised(NamedTuple):
    """Code maps (N, code_size, h, w), with the gradient that their latents get, and what else adds to the loss."""

    maps: Tensor
    losses: Mapping[str, Tensor]


class Autoencoder(ImageTokenizer):
    """Images of n*3 channels become n*h*w tokens; the policy sees the n code maps stacked along the channels.

    Subclasses say which codes there are, and which of them a latent becomes.

    Args:
        spec: of the images.
        settings: sizes.
        first_norm: the decoder's first layer.
    """

    def __init__(self, spec: ModalitySpec, settings: ImageTokenizerSettings, first_norm: Norm) -> None:
        super().__init__()
        channels, height, width = spec.shape
        scale = 2**settings.downsamples
        if channels % 3 or height % scale or width % scale:
            raise UserError(
                f"images of shape {spec.shape} need 3n channels and sides divisible by {scale} (tokenizer.downsamples "
                f"{settings.downsamples})"
            )
        self._images = channels // 3
        self._grid = (height // scale, width // scale)
        code_size = settings.code_size
        self.encoder = _encoder(settings.channels, settings.downsamples, code_size)
        self.decoder = _decoder(settings.channels, settings.downsamples, code_size, first_norm)
        count = self._images * self._grid[0] * self._grid[1]
        self.tokens = TokenSpec(count, (settings.vocabulary,), code_size)
        self.view = ViewSpec("map", (self._images * code_size, *self._grid))

    @abstractmethod
    def quantise(self, latents: Tensor) -> Quantised:
        """Latents (N, code_size, h, w) to codes, as training does it."""

    @abstractmethod
    def latent_tokens(self, latents: Tensor) -> Tensor:
        """Latents (N, code_size, h, w) to the tokens of their codes, int64 (N, h*w)."""

    @torch.no_grad()
    def encode(self, raw: Tensor) -> Tensor:
        """uint8 (..., 3n, H, W) -> (..., n*h*w, 1); in float32 also while training in another precision."""
        images = self.normalise(raw)
        with full_precision(images.device):
            return self.latent_tokens(self.encoder(images)).reshape(*raw.shape[:-3], -1, 1)

    def decode(self, tokens: Tensor) -> Tensor:
        """(..., n*h*w, 1) -> (..., n*code_size, h, w)."""
        codes = F.embedding(tokens[..., 0], self.codebook)
        maps = codes.unflatten(-2, (self._images, -1)).transpose(-1, -2)
        return maps.flatten(-3, -2).unflatten(-1, self._grid)

    @torch.no_grad()
    def reconstruct(self, tokens: Tensor) -> Tensor:
        """(..., n*h*w, 1) -> uint8 (..., 3n, H, W)."""
        maps = self.decode(tokens).reshape(-1, self.tokens.code_size, *self._grid)
        pixels = ((self.decoder(maps).clamp(-1, 1) + 1) * 127.5).round().byte()
        return pixels.reshape(*tokens.shape[:-2], 3 * self._images, *pixels.shape[-2:])

    @staticmethod
    def normalise(raw: Tensor) -> Tensor:
        """uint8 (..., 3n, H, W) -> single images (N, 3, H, W) in [-1, 1]."""
        return raw.reshape(-1, 3, *raw.shape[-2:]).float() / 255 * 2 - 1

    def losses(self, raw: Tensor, perceptual: Perceptual | None) -> dict[str, Tensor]:
        """Compute the quantiser's losses, the mean squared error of pixels, and the perceptual distance."""
        images = self.normalise(raw)
        quantised = self.quantise(self.encoder(images))
        reconstructions = self.decoder(quantised.maps)
        return {
            **quantised.losses,
            "reconstruction": F.mse_loss(reconstructions, images),
            "perceptual": images.new_zeros(()) if perceptual is None else perceptual(images, reconstructions),
        }
