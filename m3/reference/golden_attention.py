"""Functions of attention in golden files: rotary positions, and which tokens attend to which."""

from collections.abc import Iterator

import torch
from torch import Tensor

from m3.nn import attention
from m3.reference.golden_file import GoldenFile


def attention_quantities(golden: GoldenFile) -> Iterator[tuple[str, Tensor]]:
    """Compute the functions of attention that a file holds, under its names."""
    for name in golden:
        section, _, quantity = name.rpartition("/")
        if section.startswith("rope/") and quantity == "outputs":
            inputs = golden.tensor(f"{section}/inputs")
            phases = attention.rotary_phases(golden.tensor(f"{section}/positions"), inputs.shape[-1])
            yield name, attention.rotate(inputs.transpose(1, 2), phases).transpose(1, 2)
        elif section.startswith("mask/") and quantity == "causal":
            yield name, _whole_mask(*map(int, section.removeprefix("mask/").split("_")))


def _whole_mask(blocks: int, predicted: int, actions: int) -> Tensor:
    """Which tokens of T blocks, and which of all prediction tokens, each prediction token sees: bool (T*K, T*L + T*K).

    Attention has no use for it: each prediction attends to the keys of its own rows and columns only.
    """
    length = blocks * (predicted + actions)
    whole = torch.zeros(blocks * predicted, length + blocks * predicted, dtype=torch.bool)
    for step in range(blocks):
        seen, rows = step * (predicted + actions), slice(step * predicted, (step + 1) * predicted)
        mask = attention.causal_mask(predicted, seen + predicted, whole.device)
        whole[rows, :seen] = mask[:, :seen]
        whole[rows, length + rows.start : length + rows.stop] = mask[:, seen:]
    return whole
