"""One root seed to independent random streams, each named by its purpose.

A stream depends on the seed and its name only, such as ("imagination", epoch), not on what ran before. So nothing has
to be saved to continue a run at the start of an epoch, and drawing more numbers in one place changes no other.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Derive the seed of a purpose, in [0, 2^63)."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True)
class Randomness:
    """The random streams of one purpose: NumPy's on the host, torch's on a device."""

    numpy: np.random.Generator
    torch: torch.Generator


def randomness(device: torch.device, seed: int, *purpose: str | int) -> Randomness:
    """Make fresh streams for a purpose."""
    derived = derive(seed, *purpose)
    return Randomness(np.random.default_rng(derived), _generator(device).manual_seed(derived))


def _generator(device: torch.device) -> torch.Generator:
    return torch.Generator(device)
