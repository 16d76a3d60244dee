"""FSQ tokenizer of images: codes on a fixed lattice, without a codebook of their own (the authors' Simulus-A)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3.config.schema import FiniteScalarQuantizer, ImageTokenizerSettings
from m3.nn import fsq
from m3.nn.precision import full_precision
from m3.specs import ModalitySpec
from m3.tokenizers.autoencoder import Autoencoder, Quantised, group_norm


class FSQTokenizer(Autoencoder):
    """A latent, brought down to one number per dimension of the lattice, becomes its point; that is brought up again.

    Nothing depends on the statistics of a batch, and there is no loss but that of the reconstruction.
    """

    levels: Tensor
    points: Tensor

    def __init__(self, spec: ModalitySpec, settings: ImageTokenizerSettings) -> None:
        super().__init__(spec, settings, group_norm)
        assert isinstance(settings.quantizer, FiniteScalarQuantizer)
        levels = torch.tensor(settings.quantizer.levels)
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("points", fsq.to_codes(torch.arange(settings.vocabulary), levels), persistent=False)
        self.down = nn.Conv2d(settings.code_size, len(levels), 1)
        self.up = nn.Conv2d(len(levels), settings.code_size, 1)

    @property
    def codebook(self) -> Tensor:
        """All points of the lattice, brought up: (vocabulary, code_size), without gradient."""
        weight, bias = self.up.weight.detach().flatten(1), self.up.bias
        assert bias is not None
        with full_precision(weight.device):
            return F.linear(self.points, weight, bias.detach())

    def latent_tokens(self, latents: Tensor) -> Tensor:
        """Tokens of the lattice's points: (N, code_size, h, w) -> int64 (N, h*w)."""
        return fsq.to_tokens(self.down(latents).movedim(1, -1), self.levels).flatten(1)

    def quantise(self, latents: Tensor) -> Quantised:
        """The lattice's points, through whose rounding the gradient passes straight."""
        points = fsq.quantise(self.down(latents).movedim(1, -1), self.levels).movedim(-1, 1)
        return Quantised(self.up(points), {})
