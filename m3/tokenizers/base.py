"""What every modality's tokenizer offers to the world model and the controller."""

from abc import abstractmethod
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn


@dataclass(frozen=True)
class TokenSpec:
    """One modality as tokens: ``count`` tokens a step, each of ``len(vocabularies)`` categorical columns.

    ``code_size`` is the width of the code vectors where the tokens have a codebook, else 0.
    """

    count: int
    vocabularies: tuple[int, ...]
    code_size: int = 0


@dataclass(frozen=True)
class ViewSpec:
    """One modality as the policy sees it: a ``map`` (C, H, W), a ``vector`` (D,), or ``tokens`` (K, columns)."""

    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return prod(self.shape)


class ModalityTokenizer(nn.Module):
    """Tokenizer of one modality. Leading dimensions (...) are any batch and time dimensions."""

    tokens: TokenSpec
    view: ViewSpec

    @abstractmethod
    def encode(self, raw: Tensor) -> Tensor:
        """Raw observations (..., *shape) -> int64 tokens (..., K, C)."""

    @abstractmethod
    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (..., K, C) -> the policy's view (..., *view.shape)."""

    @property
    def codebook(self) -> Tensor | None:
        """Code vectors (vocabulary, code_size) without gradient, where there are any."""
        return None
