"""Attention against the authors' code: equal as it is, and different with any of these faults put in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from exercised import check_exercised
from torch import Tensor
from torch.nn import functional as F

from m3.nn import attention
from m3.nn.attention import AttentionLayer, AttentionNet, Phases
from m3.reference.golden import verify_file
from m3.reference.golden_agent import load_agent
from m3.world_model.sequence import Attention

FOLDER = Path(__file__).parents[1] / "golden/simulus"
FUNCTIONS = FOLDER / "attention_fsq_functions.npz"
AGENT = FOLDER / "attention_vector_continuous.npz"
Patch = pytest.MonkeyPatch


@pytest.mark.parametrize(
    ("file", "function"),
    [
        (FUNCTIONS, "m3.nn.attention.rotate"),
        (FUNCTIONS, "m3.nn.attention.causal_mask"),
        (AGENT, "m3.nn.attention.AttentionNet.forward"),
        (AGENT, "m3.nn.attention.AttentionNet.extend"),
        (AGENT, "m3.nn.attention.prediction_mask"),
        (AGENT, "m3.training.components.WorldModelComponent.compute"),
        (AGENT, "m3.training.component.Component.step"),
    ],
)
def test_a_file_exercises_what_it_claims_to_cover(file: Path, function: str, monkeypatch: Patch) -> None:
    check_exercised(file, function, monkeypatch)


def neighbours(x: Tensor, phases: Phases) -> Tensor:
    """Turn pairs (2i, 2i + 1), as in retention."""
    cos, sin = (both.chunk(2, dim=-1)[1] for both in phases)
    first, second = x[..., ::2], x[..., 1::2]
    return torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-1).flatten(-2)


def other_way_round(x: Tensor, phases: Phases) -> Tensor:
    return rotate(x, (phases[0], -phases[1]))


def whole(queries: int, keys: int, device: torch.device) -> Tensor:
    """Each token of a prediction sees all of it."""
    mask = causal_mask(queries, keys, device)
    mask[:, keys - queries :] = True
    return mask


def shifted(queries: int, keys: int, device: torch.device) -> Tensor:
    """Predictions see one block's token fewer."""
    mask = causal_mask(queries, keys, device)
    mask[:, : keys - queries] &= torch.arange(keys - queries) > 0
    return mask


def slower(positions: Tensor, head_width: int) -> Phases:
    frequencies = 1000.0 ** -(torch.arange(0, head_width, 2) / head_width)
    angles = positions.float()[:, None] * frequencies
    return angles.cos().repeat(1, 2), torch.cat((-angles.sin(), angles.sin()), dim=-1)


def before_the_norm(self: AttentionLayer, x: Tensor, attended: Tensor) -> Tensor:
    x = x + self.norm1(self.out_proj(attended.transpose(1, 2).flatten(-2)))
    return x + self.norm2(self.ff(x))


def approximate(self: AttentionLayer, x: Tensor, attended: Tensor) -> Tensor:
    x = self.norm1(x + self.out_proj(attended.transpose(1, 2).flatten(-2)))
    return self.norm2(x + self.ff[2](F.gelu(self.ff[0](x), approximate="tanh")))


def unscaled(self: AttentionLayer, queries: Tensor, keys_values: Tensor, mask: Tensor | None) -> Tensor:
    keys, values = keys_values
    return F.scaled_dot_product_attention(queries, keys, values, mask, is_causal=mask is None, scale=1.0)


def positions_after(length: int, before: range, filled: int, device: torch.device) -> Tensor:
    """Predictions sit where the next block does."""
    found = positions(length, before, filled, device)
    found[length:] += before.step
    return found


def with_predictions_kept(self: AttentionNet, blocks: Tensor, prediction: Tensor, memory: Any) -> Any:
    """A cache that keeps the keys of predictions too."""
    outputs, after = extend(self, blocks, prediction, memory)
    after.cache.filled += prediction.shape[1]
    return outputs, attention.Memory(after.cache, after.cache.filled)


rotate, causal_mask, positions, extend = (
    attention.rotate,
    attention.causal_mask,
    attention._positions,
    AttentionNet.extend,
)
FAULTS: dict[str, Callable[[Patch], None]] = {
    "neighbours turned": lambda patch: patch.setattr(attention, "rotate", neighbours),
    "turned the other way": lambda patch: patch.setattr(attention, "rotate", other_way_round),
    "other frequencies": lambda patch: patch.setattr(attention, "rotary_phases", slower),
    "predictions that see all of themselves": lambda patch: patch.setattr(attention, "causal_mask", whole),
    "the first token unseen": lambda patch: patch.setattr(attention, "causal_mask", shifted),
    "norms of the branches alone": lambda patch: patch.setattr(AttentionLayer, "finish", before_the_norm),
    "an approximate activation": lambda patch: patch.setattr(AttentionLayer, "finish", approximate),
    "scores without their scale": lambda patch: patch.setattr(AttentionLayer, "attend", unscaled),
    "predictions a block later": lambda patch: patch.setattr(attention, "_positions", positions_after),
    "predictions left in the cache": lambda patch: patch.setattr(AttentionNet, "extend", with_predictions_kept),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, monkeypatch: Patch) -> None:
    FAULTS[fault](monkeypatch)
    assert not all(comparison.met for comparison in verify_file(AGENT))


def test_a_swapped_projection_is_found(monkeypatch: Patch) -> None:
    """Of the three projections that are one here, in the order in which they are joined."""

    def swapped(*arguments: Any, **named: Any) -> Any:
        loaded = load_agent(*arguments, **named)
        sequence = loaded.agent.world_model.sequence
        assert isinstance(sequence, Attention)
        for layer in sequence.network._stack():
            query, key, value = layer.qkv_proj.weight.detach().chunk(3)
            layer.qkv_proj.weight.data = torch.cat((key, query, value))
        return loaded

    monkeypatch.setattr("m3.reference.golden_agent.load_agent", swapped)
    assert not all(comparison.met for comparison in verify_file(AGENT))
