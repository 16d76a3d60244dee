"""Continuous actions as bins."""

import torch
from torch.testing import assert_close

from m3.nn.actions import to_bins, to_values


def test_there_are_51_even_values_from_minus_one_to_one() -> None:
    values = to_values(torch.arange(51))
    assert_close(values[[0, 25, 50]], torch.tensor([-1.0, 0.0, 1.0]))
    assert_close(values.diff(), torch.full((50,), 0.04))


def test_bins_and_values_are_inverse() -> None:
    bins = torch.arange(51).view(3, 17)
    assert torch.equal(to_bins(to_values(bins)), bins)


def test_an_action_gets_the_nearest_value_and_beyond_the_range_its_end() -> None:
    actions = torch.tensor([-0.93, -0.95, 0.019, 0.021, 1.0, 1.7, -9.0])
    assert_close(to_values(to_bins(actions)), torch.tensor([-0.92, -0.96, 0.0, 0.04, 1.0, 1.0, -1.0]))
