"""VQ-VAE tokenizer of images (M3 section 3.1 and appendix)."""

from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3.config.schema import ImageTokenizerSettings
from m3.errors import UserError
from m3.nn.precision import full_precision
from m3.nn.upsampling import UpsampleConv
from m3.specs import ModalitySpec
from m3.tokenizers.base import ModalityTokenizer, TokenSpec, ViewSpec

NORM_GROUPS = 8


class Perceptual(Protocol):
    """A perceptual distance of images in [-1, 1], (N, 3, H, W) twice -> scalar."""

    def __call__(self, images: Tensor, reconstructions: Tensor) -> Tensor: ...


class TokenizerLosses(NamedTuple):
    """The parts of the tokenizer's loss, scalars; ``commitment`` holds both directions of the code distance."""

    commitment: Tensor
    reconstruction: Tensor
    perceptual: Tensor


def _norm_silu(channels: int) -> list[nn.Module]:
    return [nn.GroupNorm(NORM_GROUPS, channels, eps=1e-6), nn.SiLU()]


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


def _decoder(channels: int, downsamples: int, code_size: int) -> nn.Sequential:
    widths = [channels * 2**i for i in range(downsamples, -1, -1)]
    return nn.Sequential(
        nn.Sequential(nn.BatchNorm2d(code_size), nn.Conv2d(code_size, widths[0], 3, padding=1)),
        nn.Sequential(*(_upsample(width, half) for width, half in pairwise(widths))),
        _output(widths[-1], 3),
    )


class ImageTokenizer(ModalityTokenizer):
    """Images of n*3 channels become n*h*w tokens; the policy sees the n code maps stacked along the channels."""

    def __init__(self, spec: ModalitySpec, settings: ImageTokenizerSettings) -> None:
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
        self.decoder = _decoder(settings.channels, settings.downsamples, code_size)
        self.codes = nn.Embedding(settings.vocabulary, code_size)
        bound = 1 / settings.vocabulary
        nn.init.uniform_(self.codes.weight, -bound, bound)
        count = self._images * self._grid[0] * self._grid[1]
        self.tokens = TokenSpec(count, (settings.vocabulary,), code_size)
        self.view = ViewSpec("map", (self._images * code_size, *self._grid))

    @property
    def codebook(self) -> Tensor:
        """(vocabulary, code_size), without gradient."""
        return self.codes.weight.detach()

    def latents(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1] -> continuous latents (N, code_size, h, w)."""
        return self.encoder(images)

    def nearest_codes(self, latents: Tensor) -> Tensor:
        """Index of the nearest code by squared distance, in float32: (N, code_size, h, w) -> int64 (N, h*w)."""
        flat = latents.float().flatten(2).transpose(1, 2)
        codes = self.codebook.float()
        # |z|^2 is the same for all codes of a latent, so it does not change the nearest one.
        with full_precision(flat.device):
            distances = (codes**2).sum(-1) - 2 * flat @ codes.T
        return distances.argmin(-1)

    def reconstruct(self, quantised: Tensor) -> Tensor:
        """Code maps (N, code_size, h, w) -> images (N, 3, H, W) in about [-1, 1]."""
        return self.decoder(quantised)

    @torch.no_grad()
    def encode(self, raw: Tensor) -> Tensor:
        """uint8 (..., 3n, H, W) -> (..., n*h*w, 1); in float32 also while training in another precision."""
        images = self.normalise(raw)
        with full_precision(images.device):
            return self.nearest_codes(self.latents(images)).reshape(*raw.shape[:-3], -1, 1)

    def decode(self, tokens: Tensor) -> Tensor:
        """(..., n*h*w, 1) -> (..., n*code_size, h, w)."""
        codes = F.embedding(tokens[..., 0], self.codebook)
        maps = codes.unflatten(-2, (self._images, -1)).transpose(-1, -2)
        return maps.flatten(-3, -2).unflatten(-1, self._grid)

    @staticmethod
    def normalise(raw: Tensor) -> Tensor:
        """uint8 (..., 3n, H, W) -> single images (N, 3, H, W) in [-1, 1]."""
        return raw.reshape(-1, 3, *raw.shape[-2:]).float() / 255 * 2 - 1

    def losses(self, raw: Tensor, perceptual: Perceptual | None) -> TokenizerLosses:
        """Loss parts on raw frames (N, 3n, H, W), with the straight-through gradient of the quantiser."""
        images = self.normalise(raw)
        latents = self.latents(images)
        indices = self.nearest_codes(latents)
        codes = self.codes(indices).transpose(1, 2).reshape(latents.shape)
        commitment = F.mse_loss(codes, latents.detach()) + F.mse_loss(latents, codes.detach())
        reconstructions = self.reconstruct(latents + (codes - latents).detach())
        return TokenizerLosses(
            commitment=commitment,
            reconstruction=F.mse_loss(reconstructions, images),
            perceptual=images.new_zeros(()) if perceptual is None else perceptual(images, reconstructions),
        )
