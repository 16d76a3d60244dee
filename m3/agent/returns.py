"""Lambda-returns of imagined trajectories."""

import torch
from torch import Tensor


def lambda_returns(rewards: Tensor, values: Tensor, terminations: Tensor, discount: float, lambda_: float) -> Tensor:
    """R_t = r_t + discount * (1 - end_t) * ((1 - lambda) * V_{t+1} + lambda * R_{t+1}), and R_last = V_last.

    Args:
        rewards: float (B, T - 1).
        values: float (B, T).
        terminations: bool (B, T - 1), true where the episode ended with step t.

    Returns:
        (B, T).
    """
    returns = [values[:, -1]]
    going_on = discount * (~terminations).to(values.dtype)
    alone = torch.addcmul(rewards, going_on, values[:, 1:], value=1 - lambda_)
    for t in reversed(range(values.shape[1] - 1)):
        returns.append(torch.addcmul(alone[:, t], going_on[:, t], returns[-1], value=lambda_))
    return torch.stack(returns[::-1], dim=1)
