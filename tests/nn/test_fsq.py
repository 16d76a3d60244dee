"""Finite scalar quantisation: the lattice, its tokens, and the gradient through its rounding."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from m3.nn import fsq

LEVELS = [[8, 8, 8], [8, 6, 5], [5], [2, 3], [7, 4, 2, 3]]


def grid(levels: list[int]) -> Tensor:
    """Every code once, the first number varying fastest, from the definition."""
    numbers = [[(n - size // 2) / (size // 2) for n in range(size)] for size in levels]
    return torch.tensor([code[::-1] for code in product(*numbers[::-1])])


@pytest.mark.parametrize("levels", LEVELS)
def test_tokens_count_the_lattice_with_the_first_number_fastest(levels: list[int]) -> None:
    tokens = torch.arange(math.prod(levels))
    assert_close(fsq.to_codes(tokens, torch.tensor(levels)), grid(levels))


@pytest.mark.parametrize("levels", LEVELS)
def test_every_code_is_reached_and_comes_back_as_its_token(levels: list[int]) -> None:
    """The latents that are bounded to the lattice's points themselves, by the inverse of the bound."""
    sizes = torch.tensor(levels, dtype=torch.float64)
    tokens = torch.arange(math.prod(levels))
    half, offset = (sizes - 1) * 0.999 / 2, (sizes % 2 == 0) / 2
    points = fsq.to_codes(tokens, torch.tensor(levels)).double() * (sizes // 2)
    latents = torch.atanh(((points + offset) / half).clamp(-1 + 1e-4, 1 - 1e-4)) - torch.tan(offset / half)
    assert torch.equal(fsq.to_tokens(latents, torch.tensor(levels)), tokens)
    assert_close(fsq.quantise(latents, torch.tensor(levels)), grid(levels))


@pytest.mark.parametrize("levels", LEVELS)
def test_any_latent_has_a_code_of_the_lattice(levels: list[int]) -> None:
    sizes = torch.tensor(levels)
    latents = torch.randn(1000, len(levels), generator=torch.Generator().manual_seed(0)) * 5
    latents = torch.cat((latents, torch.full((1, len(levels)), 1e9), torch.full((1, len(levels)), -1e9)))
    codes, tokens = fsq.quantise(latents, sizes), fsq.to_tokens(latents, sizes)
    assert torch.equal(codes, fsq.to_codes(tokens, sizes))
    assert tokens[-2:].tolist() == [math.prod(levels) - 1, 0]
    assert codes.min() == -1
    assert ((codes[-2] - torch.tensor([1 - (size % 2 == 0) * 2 / size for size in levels])).abs() < 1e-6).all()


def test_a_worked_example() -> None:
    """Levels 4 and 3 at latents 0.9 and -2: h = 1.4985 and 0.999, the first with the shift tan(0.5 / 1.4985)."""
    latents, levels = torch.tensor([0.9, -2.0]), torch.tensor([4, 3])
    first = 1.4985 * math.tanh(0.9 + math.tan(0.5 / 1.4985)) - 0.5
    second = 0.999 * math.tanh(-2.0)
    assert_close(fsq.bound(latents, levels), torch.tensor([first, second]))
    assert (round(first), round(second)) == (1, -1)
    assert fsq.quantise(latents, levels).tolist() == [0.5, -1.0]
    assert fsq.to_tokens(latents, levels) == (1 + 2) + 4 * (-1 + 1)


@pytest.mark.parametrize("levels", LEVELS)
def test_the_gradient_is_that_of_the_bound_over_half_the_levels(levels: list[int]) -> None:
    sizes = torch.tensor(levels)
    latents = torch.linspace(-2, 2, 9)[:, None].repeat(1, len(levels)).requires_grad_()
    (ours,) = torch.autograd.grad(fsq.quantise(latents, sizes).sum(), latents)
    half, offset = (sizes - 1) * 0.999 / 2, (sizes % 2 == 0) / 2
    expected = half * (1 - torch.tanh(latents.detach() + torch.tan(offset / half)) ** 2) / (sizes // 2)
    assert_close(ours, expected)


def test_halves_round_to_even(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsq, "bound", lambda latents, levels: latents)
    halves = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]])
    assert fsq.to_tokens(halves, torch.tensor([5])).tolist() == [0, 2, 2, 4]


def test_it_is_computed_in_float32_whatever_the_latents_are() -> None:
    latents = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    levels = torch.tensor([8, 8, 8])
    assert fsq.quantise(latents, levels).dtype == torch.float32
    assert torch.equal(fsq.quantise(latents, levels), fsq.quantise(latents.float(), levels))
