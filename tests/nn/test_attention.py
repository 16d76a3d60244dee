"""Attention over blocks against its definition, and its cache against what training computes."""

import math

import pytest
import torch
from block_cases import BATCH, BLOCK, BLOCKS, PREDICTED, WIDTH, disturbed, random_blocks, random_placeholders
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from m3.nn.attention import AttentionLayer, AttentionNet, causal_mask, rotary_phases, rotate

HEADS = 2
ROOM = (BLOCKS - 1) * BLOCK + PREDICTED


@pytest.fixture
def net() -> AttentionNet:
    torch.manual_seed(0)
    return disturbed(AttentionNet(3, HEADS, WIDTH, dropout=0.1, tokens_per_block=BLOCK, room=ROOM))


@pytest.fixture
def blocks() -> Tensor:
    return random_blocks()


@pytest.fixture
def placeholders() -> Tensor:
    return random_placeholders()


def asked(placeholders: Tensor, count: int) -> Tensor:
    return placeholders.expand(BATCH, count, -1, -1)


def turned(x: Tensor, position: int) -> Tensor:
    """Rotary positions of one head's query or key (d,), pair by pair."""
    half = len(x) // 2
    out = x.clone()
    for i in range(half):
        angle = position * 10000 ** (-2 * i / len(x))
        out[i] = x[i] * math.cos(angle) - x[i + half] * math.sin(angle)
        out[i + half] = x[i + half] * math.cos(angle) + x[i] * math.sin(angle)
    return out


def slow_layer(layer: AttentionLayer, x: Tensor, positions: list[int], sees: Tensor) -> Tensor:
    """A layer as it is defined, token by token, head by head: (N, E); ``sees`` (N, N) tells who sees whom."""
    q, k, v = layer.qkv_proj(x).unflatten(-1, (3, HEADS, -1)).unbind(1)
    attended = torch.zeros_like(q)
    for head in range(HEADS):
        keys = torch.stack([turned(key, n) for key, n in zip(k[:, head], positions, strict=True)])
        for token, n in enumerate(positions):
            scores = keys[sees[token]] @ turned(q[token, head], n) / math.sqrt(WIDTH / HEADS)
            attended[token, head] = scores.softmax(0) @ v[sees[token], head]
    x = F.layer_norm(x + layer.out_proj(attended.flatten(1)), (WIDTH,), layer.norm1.weight, layer.norm1.bias, 1e-5)
    hidden = layer.ff[2](F.gelu(layer.ff[0](x)))
    return F.layer_norm(x + hidden, (WIDTH,), layer.norm2.weight, layer.norm2.bias, 1e-5)


def slow_net(net: AttentionNet, blocks: Tensor, placeholders: Tensor) -> tuple[Tensor, Tensor]:
    """All tokens side by side with a dense mask: outputs of blocks (T, L, E) and of predictions (T + 1, K, E)."""
    length, steps = BLOCKS * BLOCK, BLOCKS + 1
    x = torch.cat((blocks.flatten(0, 1), placeholders.repeat(steps, 1)))
    positions = [*range(length), *(t * BLOCK + j for t in range(steps) for j in range(PREDICTED))]
    sees = torch.zeros(len(x), len(x), dtype=torch.bool)
    sees[:length, :length] = torch.ones(length, length).tril().bool()
    for t in range(steps):
        own = slice(length + t * PREDICTED, length + (t + 1) * PREDICTED)
        sees[own, : t * BLOCK] = True
        sees[own, own] = torch.ones(PREDICTED, PREDICTED).tril().bool()
    for layer in net.layers:
        assert isinstance(layer, AttentionLayer)
        x = slow_layer(layer, x, positions, sees)
    return x[:length].view_as(blocks), x[length:].view(steps, PREDICTED, WIDTH)


def test_equals_its_definition_and_so_do_its_gradients(net: AttentionNet, blocks: Tensor, placeholders: Tensor) -> None:
    inputs = (blocks.requires_grad_(), placeholders.requires_grad_(), *net.parameters())
    fast = net(blocks, asked(placeholders, BLOCKS + 1), block_outputs=True)
    slow = [torch.stack(parts) for parts in zip(*(slow_net(net, row, placeholders) for row in blocks), strict=True)]
    totals = []
    for results in (fast, slow):
        generator = torch.Generator().manual_seed(4)
        totals.append(sum((torch.randn(r.shape, generator=generator) * r).sum() for r in results))
    for one, other in zip(fast, slow, strict=True):
        assert_close(one, other, atol=1e-5, rtol=1e-5)
    gradients = zip(*(torch.autograd.grad(total, inputs) for total in totals), strict=True)
    for one, other in gradients:
        assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_fewer_predictions_are_those_of_the_last_steps(net: AttentionNet, blocks: Tensor, placeholders: Tensor) -> None:
    of_blocks, every = net(blocks, asked(placeholders, BLOCKS + 1), block_outputs=True)
    nothing, last = net(blocks, asked(placeholders, 2))
    assert_close(last, every[:, -2:])
    assert nothing.shape[1] == 0
    assert of_blocks.shape == blocks.shape


@pytest.mark.parametrize("chunks", [[1, 1, 1, 1], [2, 1, 1], [3, 1], [4]])
def test_imagination_equals_training_at_the_same_positions(
    net: AttentionNet, blocks: Tensor, placeholders: Tensor, chunks: list[int]
) -> None:
    """The last pass needs more room than there was at first."""
    expected = net(blocks, asked(placeholders, BLOCKS))[1]
    memory, fed = net.empty_memory(), 0
    for chunk in blocks.split(chunks, dim=1):
        outputs, memory = net.extend(chunk, asked(placeholders, 1)[:, 0], memory)
        fed += chunk.shape[1]
        assert memory.position == fed * BLOCK
        assert_close(outputs, expected[:, fed - 1], atol=2e-6, rtol=0)


def test_one_pass_equals_append_then_predict(net: AttentionNet, blocks: Tensor, placeholders: Tensor) -> None:
    """Appended with other placeholders, then predicted from the keys and values that were kept, layer by layer."""
    one_pass, memory = net.extend(blocks, asked(placeholders, 1)[:, 0], net.empty_memory())
    _, appended = net.extend(blocks, torch.zeros(BATCH, 1, WIDTH), net.empty_memory())
    assert memory.cache is not None
    assert appended.cache is not None
    length = BLOCKS * BLOCK
    assert_close(appended.cache.buffers[..., :length, :], memory.cache.buffers[..., :length, :])
    x = asked(placeholders, 1)[:, 0]
    phases = rotary_phases(length + torch.arange(PREDICTED), WIDTH // HEADS)
    for layer, kept in zip(net._stack(), appended.cache.buffers, strict=True):
        queries, own = layer.project(x, phases)
        visible = torch.cat((kept[..., :length, :], own), dim=-2)
        x = layer.finish(x, layer.attend(queries, visible, causal_mask(PREDICTED, length + PREDICTED, x.device)))
    assert_close(one_pass, x, atol=1e-6, rtol=0)


def test_a_memory_stays_as_it_is_when_others_go_on_from_it(
    net: AttentionNet, blocks: Tensor, placeholders: Tensor
) -> None:
    prediction = asked(placeholders, 1)[:, 0]
    _, begun = net.extend(blocks[:, :1], prediction, net.empty_memory())
    first, after_first = net.extend(blocks[:, 1:2], prediction, begun)
    other, _ = net.extend(-blocks[:, 1:2], prediction, begun)
    again, _ = net.extend(blocks[:, 1:2], prediction, begun)
    assert not torch.allclose(first, other)
    assert_close(again, first, atol=0, rtol=0)
    assert_close(
        net.extend(blocks[:, 2:3], prediction, after_first)[0],
        net(blocks[:, :3], asked(placeholders, 1))[1][:, 0],
        atol=2e-6,
        rtol=0,
    )


def test_a_window_is_imagined_in_the_buffers_that_are_there_from_the_start(
    net: AttentionNet, blocks: Tensor, placeholders: Tensor
) -> None:
    memory, places = net.empty_memory(), set()
    for block in blocks[:, : BLOCKS - 1].split(1, dim=1):
        _, memory = net.extend(block, asked(placeholders, 1)[:, 0], memory)
        assert memory.cache is not None
        places.add(memory.cache.buffers.data_ptr())
        assert memory.cache.buffers.shape == (3, 2, BATCH, HEADS, ROOM, WIDTH // HEADS)
    assert len(places) == 1


def test_a_cache_in_bfloat16_is_off_by_its_rounding(net: AttentionNet, blocks: Tensor, placeholders: Tensor) -> None:
    prediction = asked(placeholders, 1)[:, 0]
    exact, _ = net.extend(blocks, prediction, net.empty_memory())
    net.cache_dtype = torch.bfloat16
    rounded, memory = net.extend(blocks, prediction, net.empty_memory())
    assert memory.cache is not None
    assert memory.cache.buffers.dtype == torch.bfloat16
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.05


def test_padding_on_the_right_changes_nothing_before_it(
    net: AttentionNet, blocks: Tensor, placeholders: Tensor
) -> None:
    padded = blocks.clone()
    padded[:, 2:] = 100.0
    before, after = (net(b, asked(placeholders, BLOCKS + 1))[1] for b in (blocks, padded))
    assert_close(after[:, :3], before[:, :3])


def test_dropout_only_trains(net: AttentionNet, blocks: Tensor, placeholders: Tensor) -> None:
    predictions = asked(placeholders, BLOCKS)
    assert_close(net(blocks, predictions)[1], net(blocks, predictions)[1], atol=0, rtol=0)
    net.train()
    assert not torch.allclose(net(blocks, predictions)[1], net(blocks, predictions)[1])


def test_positions_turn_halves_in_float32_whatever_the_precision() -> None:
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([0, 7, 300])
    expected = torch.stack([turned(row, int(n)) for row, n in zip(x, positions, strict=True)])
    assert_close(rotate(x, rotary_phases(positions, 8)), expected, atol=4e-5, rtol=0)
    low = x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(rotate(low, rotary_phases(positions, 8)), rotate(low.float(), rotary_phases(positions, 8)))


def test_projections_have_no_bias() -> None:
    layer = AttentionLayer(WIDTH, HEADS, 0.0)
    biased = {
        name for name, module in layer.named_modules() if isinstance(module, nn.Linear) and module.bias is not None
    }
    assert biased == {"ff.0", "ff.2"}
    assert sum(p.numel() for p in layer.parameters()) == 12 * WIDTH**2 + 9 * WIDTH
