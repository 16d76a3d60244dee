"""The interface of every modality's tokenizer, and that of a trained image tokenizer."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Protocol

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
        """Encode raw observations (..., *shape) as int64 tokens (..., K, C)."""

    @abstractmethod
    def decode(self, tokens: Tensor) -> Tensor:
        """Decode tokens (..., K, C) into the policy's view (..., *view.shape)."""

    @abstractmethod
    def reconstruct(self, tokens: Tensor) -> Tensor:
        """Tokens (..., K, C) -> raw observations (..., *shape): what is left of those that were encoded."""

    @property
    def codebook(self) -> Tensor | None:
        """Code vectors (vocabulary, code_size) without gradient, where there are any."""
        return None


class Perceptual(Protocol):
    """A perceptual distance of images in [-1, 1], (N, 3, H, W) twice -> scalar."""

    def __call__(self, images: Tensor, reconstructions: Tensor) -> Tensor: ...


class ImageTokenizer(ModalityTokenizer):
    """Tokenizer of images, the only one that is trained. Training, world model and policy ask it for nothing else.

    It is trained in training mode, and used in evaluation mode.
    """

    @property
    @abstractmethod
    def codebook(self) -> Tensor:
        """Code vectors (vocabulary, code_size) without gradient, float32; they may change with every step of training.

        The world model embeds tokens by them. Of the policy's view, ``decode`` decides.
        """

    @abstractmethod
    def losses(self, raw: Tensor, perceptual: Perceptual | None) -> Mapping[str, Tensor]:
        """Compute the parts of the loss by name: scalars, of which the loss is the sum.

        Args:
            raw: frames, uint8 (N, 3n, H, W).
            perceptual: the perceptual distance of images, where the settings ask for one.
        """
