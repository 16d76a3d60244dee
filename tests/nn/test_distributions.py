"""Categorical variables against torch's own, and both heads for scalars."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from m3.nn.distributions import (
    DrawnUniforms,
    HLGaussHead,
    IndependentCategoricals,
    ScalarHead,
    Uniforms,
    reward_head,
    sample_categorical,
    sample_columns,
    symexp,
    symlog,
    value_head,
)

SIZES = (3, 5)


@pytest.fixture
def logits() -> Tensor:
    return 3 * torch.randn(7, sum(SIZES), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def uniforms() -> Uniforms:
    return Uniforms(torch.Generator().manual_seed(1))


def torch_categoricals(logits: Tensor) -> list[torch.distributions.Categorical]:
    return [torch.distributions.Categorical(logits=part) for part in logits.split(SIZES, dim=-1)]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_categoricals_agree_with_torch(logits: Tensor, reduction: str) -> None:
    ours, theirs = IndependentCategoricals(logits, SIZES, reduction), torch_categoricals(logits)
    values = torch.stack([d.sample() for d in theirs], dim=-1)
    reduce = {"sum": torch.sum, "mean": torch.mean}[reduction]
    log_probs = torch.stack([d.log_prob(v) for d, v in zip(theirs, values.unbind(-1), strict=True)])
    assert_close(ours.log_prob(values), reduce(log_probs, dim=0))
    assert_close(ours.entropy(), reduce(torch.stack([d.entropy() for d in theirs]), dim=0))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_are_as_frequent_as_their_probabilities(uniforms: Uniforms, temperature: float) -> None:
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0, 0.5])
    draws = 50_000
    samples = sample_categorical(logits.expand(draws, -1), uniforms, temperature)
    frequencies = torch.bincount(samples, minlength=5) / draws
    expected = torch.softmax(logits / temperature, dim=-1)
    assert ((frequencies - expected).abs() < 5 * (expected * (1 - expected) / draws).sqrt()).all()


def test_variables_are_drawn_independently(uniforms: Uniforms) -> None:
    samples = IndependentCategoricals(torch.zeros(20_000, 4), (2, 2)).sample(uniforms)
    joint = torch.bincount(samples[:, 0] * 2 + samples[:, 1], minlength=4) / 20_000
    assert_close(joint, torch.full((4,), 0.25), atol=0.02, rtol=0)


def test_temperature_zero_takes_the_most_likely(logits: Tensor) -> None:
    expected = torch.stack([part.argmax(-1) for part in logits.split(SIZES, dim=-1)], dim=-1)
    assert torch.equal(IndependentCategoricals(logits, SIZES).sample(None, temperature=0), expected)


def test_the_generator_decides_the_samples(logits: Tensor) -> None:
    def draw(seed: int) -> Tensor:
        return IndependentCategoricals(logits, SIZES).sample(Uniforms(torch.Generator().manual_seed(seed)))

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


@pytest.mark.parametrize("sizes", [(3, 5), (4, 4), (8,)])
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_columns_drawn_together_are_those_drawn_one_by_one(sizes: tuple[int, ...], temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(50, 6, 8, generator=generator)
    numbers = torch.rand(50, 6 * len(sizes), generator=generator)
    together = sample_columns(logits, sizes, DrawnUniforms(numbers), temperature)
    for column, part in enumerate(logits.split(sizes, dim=-1)):
        own = DrawnUniforms(numbers.view(50, 6, -1)[..., column])
        assert torch.equal(together[..., column], sample_categorical(part, own, temperature))


def test_drawn_numbers_are_handed_out_once_and_in_order() -> None:
    uniforms = DrawnUniforms(torch.arange(8.0).view(2, 4) / 8)
    assert uniforms(torch.ones(2, 3, 5)).tolist() == [[0, 0.125, 0.25], [0.5, 0.625, 0.75]]
    assert uniforms(torch.ones(2, 5)).tolist() == [0.375, 0.875]
    with pytest.raises(AssertionError, match="fewer numbers"):
        uniforms(torch.ones(2, 5))


def test_huge_logits_keep_log_probabilities_and_gradients_finite(uniforms: Uniforms) -> None:
    """exp of these logits overflows, and the probability of the second class underflows."""
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    distribution = IndependentCategoricals(logits, (3,))
    assert distribution.sample(uniforms).item() == 0
    assert distribution.log_prob(torch.tensor([[1]])).item() == -2e4
    (distribution.log_prob(torch.tensor([[1]])) + distribution.entropy()).sum().backward()
    assert_close(logits.grad, torch.tensor([[-1.0, 1.0, 0.0]]))


def test_symexp_inverts_symlog_exactly_enough_for_small_and_large() -> None:
    x = torch.tensor([-1e6, -3.0, -1e-6, 0.0, 1e-6, 3.0, 1e6])
    assert_close(symexp(symlog(x)), x)
    assert_close(symlog(torch.tensor(np.e - 1, dtype=torch.float32)), torch.tensor(1.0))


@pytest.mark.parametrize("head", [value_head, reward_head])
def test_histogram_targets_are_distributions_that_mean_the_target(head: Callable[..., ScalarHead]) -> None:
    hl_gauss = head(4, "classification")
    assert isinstance(hl_gauss, HLGaussHead)
    target = torch.tensor([-50.0, -1.0, -0.1, 0.0, 0.01, 1.0, 20.0, 400.0])
    probabilities = hl_gauss.target_probabilities(target)
    assert probabilities.shape == (8, 129)
    assert_close(probabilities.sum(-1), torch.ones(8))
    assert (probabilities >= 0).all()
    assert_close(hl_gauss.mean(probabilities.log()), target, atol=2e-4, rtol=2e-3)


def test_histogram_targets_have_the_width_of_three_quarters_of_a_bin() -> None:
    """A target in the middle of a bin leaves it the mass of a Gaussian within +-0.5 / 0.75 deviations."""
    head = value_head(4, "classification")
    assert isinstance(head, HLGaussHead)
    inside = torch.distributions.Normal(0.0, 0.75).cdf(torch.tensor([0.5, 1.5]))
    probabilities = head.target_probabilities(torch.tensor(0.0))
    assert_close(probabilities[64], 2 * inside[0] - 1)
    assert_close(probabilities[65], inside[1] - inside[0])


@pytest.mark.parametrize("target", [1e9, -1e9, 1e30, torch.inf])
def test_targets_outside_the_support_count_as_its_end(target: float) -> None:
    head = value_head(4, "classification")
    assert isinstance(head, HLGaussHead)
    probabilities = head.target_probabilities(torch.tensor(target))
    assert_close(probabilities.sum(), torch.tensor(1.0))
    assert probabilities.argmax() == (128 if target > 0 else 0)
    assert head.loss(head(torch.randn(4)), torch.tensor(target)).isfinite()


def test_supports_of_values_and_rewards() -> None:
    values, rewards = value_head(4, "classification"), reward_head(4, "classification")
    assert isinstance(values, HLGaussHead)
    assert isinstance(rewards, HLGaussHead)
    assert values.edges[-1].item() == 15
    assert rewards.edges[-1].item() == pytest.approx(10.395, abs=1e-3)
    for head, points in (
        (values, np.linspace(-15, 15, 129)),
        (rewards, (lambda u: np.sign(u) * np.log1p(np.expm1(np.abs(u)) / 100))(np.linspace(-15, 15, 129))),
    ):
        np.testing.assert_allclose(head.linear.bias.detach().numpy(), -0.2 * np.abs(points), atol=1e-6)


@pytest.mark.parametrize("make", [value_head, reward_head])
@pytest.mark.parametrize("regression", ["classification", "symlog_mse"])
def test_a_head_that_is_trained_on_a_target_predicts_it(make: Callable[..., ScalarHead], regression: str) -> None:
    torch.manual_seed(0)
    head = make(4, regression)
    features = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    targets = torch.tensor([-3.0, 0.5, 100.0])
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        head.loss(head(features), targets).sum().backward()
        optimizer.step()
    assert_close(head.mean(head(features)), targets, atol=0.05, rtol=0.02)


def test_the_plain_head_measures_squared_error_in_symlog_space() -> None:
    head = value_head(4, "symlog_mse")
    prediction = torch.tensor([1.0, -2.0])
    assert_close(head.loss(prediction, symexp(torch.tensor([1.5, 1.0]))), torch.tensor([0.25, 9.0]))
    assert_close(head.mean(prediction), symexp(prediction))


def test_the_largest_number_takes_a_class_that_exists() -> None:
    """Where columns are padded, the cumulative sums stay at their last value: beyond it is no class of the column."""
    logits = torch.randn(20_000, 7, generator=torch.Generator().manual_seed(0))
    largest = torch.full((len(logits), 2), 1 - 2.0**-24)
    assert (sample_columns(logits, (2, 5), DrawnUniforms(largest)) <= torch.tensor([1, 4])).all()
