"""Distributions of the heads: categorical over tokens and actions, HL-Gauss and symlog regression for scalars."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def symlog(x: Tensor) -> Tensor:
    """sign(x) ln(1 + |x|)."""
    return torch.sign(x) * torch.log1p(torch.abs(x))


def symexp(x: Tensor) -> Tensor:
    """Invert :func:`symlog`."""
    return torch.sign(x) * torch.expm1(torch.abs(x))


class Uniforms:
    """Draws the uniform numbers behind categorical samples, when they are asked for.

    Args:
        generator: where they come from; none: torch's global generator.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self._generator = generator

    def __call__(self, cumulative: Tensor) -> Tensor:
        """Draw one number in [0, 1) for each distribution, given their cumulative sums (..., classes): (...)."""
        return torch.rand(cumulative.shape[:-1], generator=self._generator, device=cumulative.device)

    def reserve(self, batch: int, device: torch.device) -> "Uniforms":
        """Take one number for each of a batch now, for a sample that is drawn later."""
        return DrawnUniforms(torch.rand(batch, 1, generator=self._generator, device=device))


class DrawnUniforms(Uniforms):
    """Hands out numbers that were drawn before, so that what samples is a function of tensors alone.

    Args:
        numbers: in [0, 1), (B, N): as many as all samples of a batch element take, in the order of sampling.
    """

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self._numbers = numbers
        self._used = 0

    def __call__(self, cumulative: Tensor) -> Tensor:
        """Take the next numbers of each batch element: (B, ..., classes) to (B, ...)."""
        first, self._used = self._used, self._used + math.prod(cumulative.shape[1:-1])
        assert self._used <= self._numbers.shape[1], "fewer numbers were drawn than are asked for"
        return self._numbers[:, first : self._used].reshape(cumulative.shape[:-1])

    def reserve(self, batch: int, device: torch.device) -> Uniforms:
        """Take the next number of each batch element for a sample that is drawn later."""
        self._used += 1
        return DrawnUniforms(self._numbers[:, self._used - 1 : self._used])


class JoinedUniforms(Uniforms):
    """Numbers that were reserved one after the other, for samples (B, S) that are drawn together.

    Args:
        steps: what was reserved for each of the S samples.
    """

    def __init__(self, steps: Sequence[Uniforms]) -> None:
        super().__init__()
        self._steps = steps

    def __call__(self, cumulative: Tensor) -> Tensor:
        """Give the numbers of (B, S, classes): (B, S)."""
        return torch.stack([u(c) for u, c in zip(self._steps, cumulative.unbind(1), strict=True)], dim=1)


def sample_categorical(logits: Tensor, uniforms: Uniforms, temperature: float = 1.0) -> Tensor:
    """Draw from softmax(logits / temperature) along the last axis; temperature 0 takes the most likely.

    One uniform number per draw, looked up in the cumulative distribution; races of exponentials would need one per
    class, which takes longer than the network around them.

    Returns:
        int64 of ``logits.shape[:-1]``.
    """
    if temperature == 0:
        return logits.argmax(-1)
    scaled = logits.float() if temperature == 1 else logits.float() / temperature
    cumulative = _cumulative(F.softmax(scaled, dim=-1))
    sought = (uniforms(cumulative) * cumulative[..., -1])[..., None]  # at most the last sum, even when rounded
    return torch.searchsorted(cumulative, sought)[..., 0]


def sample_columns(logits: Tensor, sizes: Sequence[int], uniforms: Uniforms, temperature: float = 1.0) -> Tensor:
    """Draw several variables at once, whose logits (..., sum(sizes)) are side by side: int64 (..., variables)."""
    return sample_categorical(side_by_side(logits, sizes), uniforms, temperature)


_NEVER = -1e9
"""A logit of no probability; finite, so that products with it are."""


def side_by_side(logits: Tensor, sizes: Sequence[int]) -> Tensor:
    """Give logits (..., sum(sizes)) an axis of variables, (..., variables, largest), padded with impossibles."""
    largest = max(sizes)
    if min(sizes) == largest:
        return logits.unflatten(-1, (len(sizes), largest))
    parts = zip(logits.split(list(sizes), dim=-1), sizes, strict=True)
    return torch.stack([F.pad(part, (0, largest - size), value=_NEVER) for part, size in parts], dim=-2)


def _cumulative(probabilities: Tensor) -> Tensor:
    """Sum along the last axis. On a GPU, torch sums integers deterministically, but not floats."""
    if probabilities.is_cuda and torch.are_deterministic_algorithms_enabled():
        return (probabilities.double() * 2**40).long().cumsum(-1).double() / 2**40
    return probabilities.cumsum(-1)


class IndependentCategoricals:
    """Independent categorical variables, their logits side by side.

    Args:
        logits: (..., sum(sizes)).
        sizes: number of classes of each variable.
        reduction: how log-probabilities and entropies of the variables combine: the joint's "sum", or their "mean"
            (continuous actions, M3 section 5).
    """

    def __init__(self, logits: Tensor, sizes: Sequence[int], reduction: Literal["sum", "mean"] = "sum") -> None:
        assert logits.shape[-1] == sum(sizes)
        self._sizes = tuple(sizes)
        self._logits = side_by_side(logits.float(), sizes)
        self._computed: Tensor | None = None
        self._reduction = reduction

    @property
    def _log_probs(self) -> Tensor:
        """(..., variables, largest size), computed when first asked for; samples do without."""
        if self._computed is None:  # not a cached property, whose lock torch's compiler does not know
            self._computed = F.log_softmax(self._logits, dim=-1)
        return self._computed

    def sample(self, uniforms: Uniforms, temperature: float = 1.0) -> Tensor:
        """int64 (..., number of variables)."""
        return sample_categorical(self._logits, uniforms, temperature)

    @property
    def probabilities(self) -> list[Tensor]:
        """Of each variable's classes, (..., size)."""
        together = self._log_probs.exp().unbind(-2)
        return [part[..., :size] for part, size in zip(together, self._sizes, strict=True)]

    def log_prob(self, values: Tensor) -> Tensor:
        """Return the log-probability of int64 values (..., number of variables): (...)."""
        return self._reduce(self._log_probs.gather(-1, values[..., None])[..., 0])

    def entropy(self) -> Tensor:
        """Return the entropy (...), in nats."""
        return self._reduce(-(self._log_probs.exp() * self._log_probs).sum(-1))

    def _reduce(self, variables: Tensor) -> Tensor:
        if variables.shape[-1] == 1:
            return variables[..., 0]
        return variables.sum(-1) if self._reduction == "sum" else variables.mean(-1)


class ScalarHead(nn.Module):
    """Predicts a scalar from features (..., width): ``forward`` gives what ``loss`` and ``mean`` read."""

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the elementwise loss (...) of a target (...) in its own units."""
        raise NotImplementedError

    def mean(self, prediction: Tensor) -> Tensor:
        """Return the predicted scalar (...), in its own units."""
        raise NotImplementedError


class HLGaussHead(ScalarHead):
    """Regression as classification with Gaussian histogram targets (Farebrother et al. 2024) in symlog space.

    Args:
        width: of the features.
        support: half-width of the support, in symlog space.
        bias: initial bias (bins,).
    """

    edges: Tensor
    centers: Tensor

    def __init__(self, width: int, support: float, bias: Tensor) -> None:
        super().__init__()
        bins = len(bias)
        bin_width = 2 * support / bins
        self.sigma = 0.75 * bin_width
        edges = torch.linspace(-support, support, bins + 1, dtype=torch.float64)
        self.register_buffer("edges", edges.float(), persistent=False)
        self.register_buffer("centers", ((edges[1:] + edges[:-1]) / 2).float(), persistent=False)
        self.linear = nn.Linear(width, bins)
        with torch.no_grad():
            self.linear.bias.copy_(bias)

    def forward(self, features: Tensor) -> Tensor:
        """(..., width) -> logits (..., bins)."""
        return self.linear(features)

    def target_probabilities(self, target: Tensor) -> Tensor:
        """(...) -> (..., bins): a Gaussian around symlog(target), integrated over each bin and normalised.

        Targets beyond the support count as its end.
        """
        center = symlog(target).clamp(self.edges[0], self.edges[-1])
        offsets = (self.edges - center[..., None]) / (self.sigma * 2**0.5)
        cdf = torch.erf(offsets)
        return (cdf[..., 1:] - cdf[..., :-1]) / (cdf[..., -1:] - cdf[..., :1])

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy to the target's histogram."""
        return -(self.target_probabilities(target) * F.log_softmax(prediction.float(), dim=-1)).sum(-1)

    def mean(self, prediction: Tensor) -> Tensor:
        """symexp of the expected bin centre."""
        return symexp((F.softmax(prediction.float(), dim=-1) * self.centers).sum(-1))


class SymlogHead(ScalarHead):
    """Plain regression: squared error on symlog'ed scalars (the ablation of HL-Gauss)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(..., width) -> (...), in symlog space."""
        return self.linear(features)[..., 0]

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Squared error in symlog space."""
        return (prediction.float() - symlog(target)) ** 2

    def mean(self, prediction: Tensor) -> Tensor:
        """symexp of the prediction."""
        return symexp(prediction.float())


BINS = 129
VALUE_SUPPORT = 15.0


def value_head(width: int, regression: str) -> ScalarHead:
    """Make a head of values: +-15 in symlog space (M3 section 3.3)."""
    if regression == "symlog_mse":
        return SymlogHead(width)
    points = torch.linspace(-VALUE_SUPPORT, VALUE_SUPPORT, BINS)
    return HLGaussHead(width, VALUE_SUPPORT, -0.2 * points.abs())


def reward_head(width: int, regression: str) -> ScalarHead:
    """Make a head of rewards: 1/100 of the values' range."""
    if regression == "symlog_mse":
        return SymlogHead(width)
    points = symlog(symexp(torch.linspace(-VALUE_SUPPORT, VALUE_SUPPORT, BINS, dtype=torch.float64)) / 100)
    return HLGaussHead(width, float(points[-1]), (-0.2 * points.abs()).float())
