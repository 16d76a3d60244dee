"""Lambda-returns worked out by hand."""

import torch
from torch.testing import assert_close

from m3.agent.returns import lambda_returns


def test_by_hand_with_an_end() -> None:
    """The first row goes on to its last value; the second one ends with its second step, whatever comes after."""
    rewards = torch.tensor([[1.0, 2.0, 3.0, 99.0], [1.0, 2.0, 3.0, 99.0]])
    values = torch.tensor([[10.0, 20.0, 30.0, 40.0]] * 2)
    terminations = torch.tensor([[False] * 4, [False, True, False, False]])
    discount, lambda_ = 0.5, 0.8
    third = 3 + 0.5 * 40
    second = 2 + 0.5 * (0.2 * 30 + 0.8 * third)
    first = 1 + 0.5 * (0.2 * 20 + 0.8 * second)
    ended_first = 1 + 0.5 * (0.2 * 20 + 0.8 * 2)
    expected = torch.tensor([[first, second, third, 40.0], [ended_first, 2.0, third, 40.0]])
    assert_close(lambda_returns(rewards[:, :-1], values, terminations[:, :-1], discount, lambda_), expected)


def test_lambda_one_sums_rewards_and_lambda_zero_looks_one_step_ahead() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0, 0.0]])
    values = torch.tensor([[100.0, 200.0, 300.0, 8.0]])
    terminations = torch.zeros(1, 4, dtype=torch.bool)
    assert_close(
        lambda_returns(rewards[:, :-1], values, terminations[:, :-1], 1.0, 1.0), torch.tensor([[15.0, 14.0, 12.0, 8.0]])
    )
    assert_close(
        lambda_returns(rewards[:, :-1], values, terminations[:, :-1], 1.0, 0.0),
        torch.tensor([[201.0, 302.0, 12.0, 8.0]]),
    )
