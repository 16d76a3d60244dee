"""An image tokenizer of one's own: every patch of an image becomes the nearest of some learned colours."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3.config.schema import ImageTokenizerSettings
from m3.specs import ModalitySpec
from m3.tokenizers.base import ImageTokenizer, Perceptual, TokenSpec, ViewSpec


class Colours(ImageTokenizer):
    """Tokens are indices of colours; a code is a colour, 3 numbers in [-1, 1].

    Args:
        spec: of the images.
        settings: the `tokenizer` section of the run's settings; the vocabulary is the number of colours.
        side: of a patch in pixels, an option of the variant.
    """

    def __init__(self, spec: ModalitySpec, settings: ImageTokenizerSettings, side: int) -> None:
        super().__init__()
        _, height, width = spec.shape
        if height % side or width % side:
            raise ValueError(f"a side of {side} does not divide {height} x {width} pixels")
        self._side, self._grid = side, (height // side, width // side)
        self.colours = nn.Parameter(torch.rand(settings.vocabulary, 3) * 2 - 1)
        self.tokens = TokenSpec(self._grid[0] * self._grid[1], (settings.vocabulary,), code_size=3)
        self.view = ViewSpec("map", (3, *self._grid))

    @property
    def codebook(self) -> Tensor:
        return self.colours.detach()

    @torch.no_grad()
    def encode(self, raw: Tensor) -> Tensor:
        patches = self._patches(raw.flatten(0, -4))
        return self._nearest(patches).reshape(*raw.shape[:-3], -1, 1)

    def decode(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens[..., 0], self.codebook).movedim(-1, -2).unflatten(-1, self._grid)

    @torch.no_grad()
    def reconstruct(self, tokens: Tensor) -> Tensor:
        colours = self.decode(tokens).clamp(-1, 1)
        pixels = ((colours + 1) * 127.5).round().byte()
        return pixels.repeat_interleave(self._side, -1).repeat_interleave(self._side, -2)

    def losses(self, raw: Tensor, perceptual: Perceptual | None) -> Mapping[str, Tensor]:
        patches = self._patches(raw)
        return {"colour": F.mse_loss(self.colours[self._nearest(patches)], patches)}

    def _patches(self, raw: Tensor) -> Tensor:
        """The mean colour of each patch in [-1, 1]: uint8 (N, 3, H, W) -> (N, K, 3)."""
        return F.avg_pool2d(raw.float() / 127.5 - 1, self._side).flatten(2).transpose(1, 2)

    def _nearest(self, patches: Tensor) -> Tensor:
        return (patches[..., None, :] - self.codebook).square().sum(-1).argmin(-1)
