"""Fixed tokenizers: quantised vectors and observations that are tokens already."""

import math

import torch
from torch import Tensor

from m3.nn.distributions import symexp, symlog
from m3.specs import ModalitySpec
from m3.tokenizers.base import ModalityTokenizer, TokenSpec, ViewSpec


def quantizer_values() -> Tensor:
    """Return the 125 values of the vector quantiser, ascending, float64 (M3 appendix: dense near 0, sparse to +-6)."""
    inner = torch.linspace(0, math.log1p(math.pi), 32, dtype=torch.float64)
    outer = torch.linspace(math.log1p(math.pi), 6, 32, dtype=torch.float64)[1:]
    positive = torch.cat((inner, outer))
    return torch.cat((-positive.flip(0)[:-1], positive))


class VectorTokenizer(ModalityTokenizer):
    """symlog, then the nearest of 125 fixed values, one token per dimension."""

    values: Tensor
    boundaries: Tensor

    def __init__(self, spec: ModalitySpec) -> None:
        super().__init__()
        values = quantizer_values()
        self.register_buffer("values", values.float(), persistent=False)
        self.register_buffer("boundaries", ((values[1:] + values[:-1]) / 2).float(), persistent=False)
        (size,) = spec.shape
        self.tokens = TokenSpec(size, (len(values),))
        self.view = ViewSpec("vector", (size,))

    def encode(self, raw: Tensor) -> Tensor:
        """(..., D) -> (..., D, 1); a value on the boundary of two belongs to the upper one."""
        return torch.bucketize(symlog(raw.float()), self.boundaries, right=True)[..., None]

    def decode(self, tokens: Tensor) -> Tensor:
        """(..., D, 1) -> (..., D), still in symlog space."""
        return self.values[tokens[..., 0]]

    def reconstruct(self, tokens: Tensor) -> Tensor:
        """(..., D, 1) -> (..., D)."""
        return symexp(self.decode(tokens))


class TokenTokenizer(ModalityTokenizer):
    """Identity: (..., N) tokens of one vocabulary, or (..., N, C) cells with a vocabulary per column."""

    def __init__(self, spec: ModalitySpec) -> None:
        super().__init__()
        self.tokens = TokenSpec(spec.shape[0], spec.vocabularies)
        self.view = ViewSpec("tokens", (spec.shape[0], len(spec.vocabularies)))
        self._has_columns = len(spec.shape) == 2

    def encode(self, raw: Tensor) -> Tensor:
        """(..., N) or (..., N, C) -> (..., N, C)."""
        tokens = raw.long()
        return tokens if self._has_columns else tokens[..., None]

    def decode(self, tokens: Tensor) -> Tensor:
        """Return the tokens themselves."""
        return tokens

    def reconstruct(self, tokens: Tensor) -> Tensor:
        """(..., N, C) -> (..., N) or (..., N, C)."""
        return tokens if self._has_columns else tokens[..., 0]
