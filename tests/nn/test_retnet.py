"""The retentive network against its definition, and what its three forms have in common."""

import math
import re

import pytest
import torch
from slow_retnet import SlowRetNet
from torch import Tensor
from torch.testing import assert_close

from m3.errors import UserError
from m3.nn.retention import head_decays, rotary_frequencies, rotary_phases, rotate
from m3.nn.retnet import Memory, RetNet

BATCH, BLOCKS, BLOCK, PREDICTED, WIDTH = 2, 4, 5, 3, 16
SCALES = (2.0, 7.0)


@pytest.fixture
def net() -> RetNet:
    torch.manual_seed(0)
    return RetNet(layers=3, heads=2, width=WIDTH, dropout=0.1, decay_scales=SCALES, tokens_per_block=BLOCK).eval()


@pytest.fixture
def context() -> Tensor:
    return torch.randn(BATCH, BLOCKS, BLOCK, WIDTH, generator=torch.Generator().manual_seed(1))


def placeholders(count: int, seed: int = 2) -> Tensor:
    one = torch.randn(PREDICTED, WIDTH, generator=torch.Generator().manual_seed(seed))
    return one.expand(BATCH, count, -1, -1)


def assert_same_memory(first: Memory, second: Memory) -> None:
    assert first.position == second.position
    for one, other in zip(first.layers, second.layers, strict=True):
        assert_close(one, other)


def test_equals_the_token_by_token_recurrence(net: RetNet, context: Tensor) -> None:
    asked = placeholders(BLOCKS + 1)
    outputs, predictions, _ = net(context, asked, net.empty_memory(), context_outputs=True)
    slow = SlowRetNet(net, SCALES)
    for row in range(BATCH):
        slow_outputs, slow_predictions = slow.run(context[row], asked[row, 0])
        assert_close(outputs[row], slow_outputs, atol=1e-5, rtol=1e-5)
        assert_close(predictions[row], slow_predictions, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_the_recurrence(net: RetNet, context: Tensor) -> None:
    asked = placeholders(BLOCKS + 1)
    generator = torch.Generator().manual_seed(4)
    inputs = (context[:1].clone().requires_grad_(), *net.parameters())
    outputs, predictions, _ = net(inputs[0], asked[:1], net.empty_memory(), context_outputs=True)
    parts = zip((outputs[0], predictions[0]), SlowRetNet(net, SCALES).run(inputs[0][0], asked[0, 0]), strict=True)
    fast, slow = torch.zeros(()), torch.zeros(())
    for one, other in parts:
        weights = torch.randn(one.shape, generator=generator)
        fast, slow = fast + (weights * one).sum(), slow + (weights * other).sum()
    gradients = zip(torch.autograd.grad(fast, inputs), torch.autograd.grad(slow, inputs), strict=True)
    for one, other in gradients:
        assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("chunks", [[1, 1, 1, 1], [2, 2], [3, 1]])
def test_chunks_give_what_all_blocks_at_once_give(net: RetNet, context: Tensor, chunks: list[int]) -> None:
    outputs, predictions, memory = net(context, placeholders(BLOCKS), net.empty_memory(), context_outputs=True)
    chunk_memory = net.empty_memory()
    chunk_outputs, chunk_predictions = [], []
    for chunk in context.split(chunks, dim=1):
        out, pred, chunk_memory = net(chunk, placeholders(chunk.shape[1]), chunk_memory, context_outputs=True)
        chunk_outputs.append(out)
        chunk_predictions.append(pred)
    assert_close(torch.cat(chunk_outputs, dim=1), outputs)
    assert_close(torch.cat(chunk_predictions, dim=1), predictions)
    assert_same_memory(chunk_memory, memory)


def test_predictions_never_enter_the_memory(net: RetNet, context: Tensor) -> None:
    results = [
        net(context, asked, net.empty_memory(), context_outputs=True)
        for asked in (placeholders(0), placeholders(1), placeholders(BLOCKS + 1, seed=3))
    ]
    for outputs, _, memory in results[1:]:
        assert_close(outputs, results[0][0])
        assert_same_memory(memory, results[0][2])


def test_fewer_predictions_are_those_of_the_last_steps(net: RetNet, context: Tensor) -> None:
    _, all_steps, _ = net(context, placeholders(BLOCKS + 1), net.empty_memory())
    _, last_steps, _ = net(context, placeholders(2), net.empty_memory())
    assert_close(last_steps, all_steps[:, -2:])


def test_a_prediction_depends_on_the_blocks_before_its_step_only(net: RetNet, context: Tensor) -> None:
    changed = context.clone()
    changed[:, 2] *= -1
    before, after = (net(c, placeholders(BLOCKS + 1), net.empty_memory())[1] for c in (context, changed))
    assert_close(after[:, :3], before[:, :3])
    assert ((after - before)[:, 3:].abs().amax(dim=(0, 2, 3)) > 1e-3).all()


def test_prediction_tokens_see_the_earlier_ones_of_their_step_only(net: RetNet, context: Tensor) -> None:
    asked = placeholders(2).clone()
    changed = asked.clone()
    changed[:, 0, 1] *= -1
    before, after = (net(context, p, net.empty_memory())[1] for p in (asked, changed))
    moved = (after - before).abs().amax(dim=(0, 3)) > 1e-4
    assert moved.tolist() == [[False, True, True], [False, False, False]]


def test_leaving_out_the_last_layers_context_changes_no_prediction(net: RetNet, context: Tensor) -> None:
    full, short = (
        net(context, placeholders(BLOCKS), net.empty_memory(), context_outputs=keep) for keep in (True, False)
    )
    assert_close(short[1], full[1])
    assert_same_memory(short[2], full[2])
    assert short[0].shape[1] == 0


def test_dropout_acts_in_training_only(net: RetNet, context: Tensor) -> None:
    def predict() -> Tensor:
        return net(context, placeholders(1), net.empty_memory())[1]

    assert torch.equal(predict(), predict())
    net.train()
    assert not torch.equal(predict(), predict())


def test_decays_are_geometric_in_blocks() -> None:
    assert_close(head_decays(3, 4, 16, tokens_per_block=65).tolist(), [1 - 1 / (65 * s) for s in (4, 8, 16)])
    assert_close(head_decays(3, 2, 2, tokens_per_block=30).tolist(), [1 - 1 / 60] * 3)


def test_rotation_turns_the_first_pair_by_one_radian_per_token_and_the_last_by_a_ten_thousandth() -> None:
    phases = rotary_phases(torch.tensor([3]), rotary_frequencies(8))
    unit = torch.tensor([1.0, 0.0]).repeat(4)[None, None]
    turned = rotate(unit, phases).flatten()
    assert_close(turned[:2], torch.tensor([math.cos(3.0), math.sin(3.0)]))
    assert_close(turned[-2:], torch.tensor([math.cos(3e-4), math.sin(3e-4)]))


@pytest.mark.parametrize("convert", [False, True], ids=["autocast", "bfloat16 module"])
def test_low_precision_rounds_neither_decays_nor_positions(convert: bool) -> None:
    """In bfloat16 a decay near 1 is 1, and positions beyond 256 jump by whole tokens.

    Rotary positions are relative: blocks at position 50,000 mean the same as at 0, and leave the same memory but for a
    common rotation of its keys.
    """
    generator = torch.Generator().manual_seed(0)
    net = RetNet(1, heads=2, width=WIDTH, dropout=0, decay_scales=(4.0, 16.0), tokens_per_block=65).eval()
    context = torch.randn(1, 3, 65, WIDTH, generator=generator)
    asked = torch.randn(1, 1, 64, WIDTH, generator=generator)
    late = Memory(net.empty_memory().layers, position=50_000)
    with torch.no_grad():
        _, exact, exact_memory = net(context, asked, net.empty_memory())
        if convert:
            _, rounded, memory = net.bfloat16()(context.bfloat16(), asked.bfloat16(), late)
        else:
            with torch.autocast("cpu", torch.bfloat16):
                _, rounded, memory = net(context, asked, late)
    assert {name: constant.dtype for name, constant in net.named_buffers()} == {
        "decays": torch.float64,
        "causal": torch.float32,
        "frequencies": torch.float32,
    }
    assert {matrix.dtype for matrix in memory.layers} == {torch.float32}
    assert relative_difference(rounded, exact) < 0.02
    assert relative_difference(*(m.layers[0].mT @ m.layers[0] for m in (memory, exact_memory))) < 0.02


def relative_difference(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other).norm() / other.norm())


@pytest.mark.parametrize("tokens", [3, 65])
def test_heads_that_forget_too_fast_for_float32_are_refused(tokens: int) -> None:
    with pytest.raises(UserError, match=f"where a block has {tokens} tokens, got 0.01") as refused:
        head_decays(2, 0.01, 4, tokens)
    least = float(re.search(r"at least ([\d.]+)", str(refused.value)).group(1))
    network = RetNet(1, 2, 8, 0.0, (least, 4.0), tokens).eval()
    blocks = torch.randn(2, 3, tokens, 8)
    with torch.no_grad():
        _, whole, _ = network(blocks, torch.zeros(2, 3, 1, 8), network.empty_memory())
        _, shorter, _ = network(blocks[:, :2], torch.zeros(2, 1, 1, 8), network.empty_memory())
    torch.testing.assert_close(whole[:, 1:2], shorter, rtol=1e-4, atol=1e-5)
