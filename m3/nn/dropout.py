"""Dropout that is quick on the CPU."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_LEVELS = 2**16


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Zero each element with a probability and scale the others up; the identity outside of training.

    On the CPU, drawing torch's Bernoulli numbers takes longer than the layers around them. There, unless compiled, the
    mask comes from 16 random bits per element, of a generator that torch's global one seeds; the probability is rounded
    to 2^-16.
    """
    if not training or probability == 0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, probability)
    dropped = round(probability * _LEVELS)
    seed = int(torch.randint(2**62, ()))
    words = np.random.SFC64(seed).random_raw(-(-x.numel() // 4))
    bits = torch.from_numpy(words.view(np.int16)[: x.numel()]).view(x.shape)
    kept = bits >= dropped - _LEVELS // 2
    return x * kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))
