"""Dropout on the CPU draws its own random bits."""

import pytest
import torch

from m3.nn.dropout import dropout


def test_keeps_the_mean_and_drops_the_right_share() -> None:
    torch.manual_seed(0)
    x = torch.ones(400, 500)
    dropped = dropout(x, 0.1, training=True)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.1, abs=0.003)
    assert dropped.mean().item() == pytest.approx(1, abs=0.003)
    assert len(dropped.unique()) == 2


def test_elements_are_dropped_independently() -> None:
    torch.manual_seed(0)
    zero = (dropout(torch.ones(100_000), 0.3, training=True) == 0).float()
    for distance in (1, 2, 3, 4, 8):
        both = (zero[:-distance] * zero[distance:]).mean().item()
        assert both == pytest.approx(0.09, abs=0.006)


def test_the_gradient_has_the_same_mask() -> None:
    x = torch.ones(7, 3, requires_grad=True)
    y = dropout(x, 0.5, training=True)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


def test_follows_torchs_seed_and_is_off_outside_of_training() -> None:
    x = torch.ones(1000)
    torch.manual_seed(3)
    first = dropout(x, 0.2, training=True)
    second = dropout(x, 0.2, training=True)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.2, training=True), first)
    assert not torch.equal(first, second)
    assert dropout(x, 0.2, training=False) is x
    assert dropout(x, 0.0, training=True) is x
