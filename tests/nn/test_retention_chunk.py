"""Chunks without gradients against the layers that training runs."""

from dataclasses import replace

import pytest
import torch
from block_cases import BATCH, BLOCK, WIDTH, disturbed, random_blocks, random_placeholders
from torch import Tensor
from torch.testing import assert_close

from m3.nn.retnet import Memory, RetNet


@pytest.fixture
def net() -> RetNet:
    torch.manual_seed(0)
    return disturbed(RetNet(3, heads=2, width=WIDTH, dropout=0.1, decay_scales=(2.0, 7.0), tokens_per_block=BLOCK))


@pytest.fixture
def blocks() -> Tensor:
    return random_blocks()


@pytest.fixture
def asked() -> Tensor:
    return random_placeholders().expand(BATCH, -1, -1)


def trained(net: RetNet, blocks: Tensor, asked: Tensor) -> tuple[Tensor, Memory]:
    """Predictions (B, T, K, E) of the steps after all blocks, and the memory after the last."""
    placeholders = asked[:, None].expand(-1, blocks.shape[1], -1, -1)
    return net(blocks, placeholders, net.empty_memory())[1:]


def extended(net: RetNet, blocks: Tensor, asked: Tensor, chunks: list[int]) -> tuple[Tensor, Memory]:
    """The same chunk by chunk; predictions after the last block of each."""
    memory, outputs = net.empty_memory(), []
    for chunk in blocks.split(chunks, dim=1):
        output, memory = net.extend(chunk, asked, memory)
        outputs.append(output)
    return torch.stack(outputs, dim=1), memory


@pytest.mark.parametrize("chunks", [[1, 1, 1, 1], [2, 1, 1], [4]])
@pytest.mark.parametrize("precision", ["fp32", "autocast", "bfloat16 module"])
def test_chunks_are_what_training_computes(
    net: RetNet, blocks: Tensor, asked: Tensor, chunks: list[int], precision: str
) -> None:
    ends = torch.tensor(chunks).cumsum(0) - 1
    expected, memory = trained(net, blocks, asked)
    if precision == "bfloat16 module":
        net, blocks, asked = net.bfloat16(), blocks.bfloat16(), asked.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        found, chunk_memory = extended(net, blocks, asked, chunks)
    assert chunk_memory.chunks is not None
    assert chunk_memory.position == memory.position
    tolerance = 1e-5 if precision == "fp32" else 0.1
    assert_close(found.float(), expected[:, ends], rtol=tolerance, atol=tolerance)
    for one, other in zip(chunk_memory.layers, memory.layers, strict=True):
        assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_a_memory_serves_twice(net: RetNet, blocks: Tensor, asked: Tensor) -> None:
    _, begun = extended(net, blocks[:, :2], asked, [1, 1])
    first, _ = net.extend(blocks[:, 2:3], asked, begun)
    other, _ = net.extend(-blocks[:, 2:3], asked, begun)
    again, _ = net.extend(blocks[:, 2:3], asked, begun)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_a_memory_of_training_goes_on_in_chunks(net: RetNet, blocks: Tensor, asked: Tensor) -> None:
    _, memory = trained(net, blocks[:, :3], asked)
    expected, _ = trained(net, blocks, asked)
    found, _ = net.extend(blocks[:, 3:], asked, replace(memory, chunks=None))
    assert_close(found, expected[:, -1], rtol=1e-5, atol=1e-5)


def test_an_empty_memory_knows_nothing_of_earlier_weights(net: RetNet, blocks: Tensor, asked: Tensor) -> None:
    extended(net, blocks, asked, [4])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 1.1
    assert_close(
        extended(net, blocks, asked, [4])[0][:, 0], trained(net, blocks, asked)[0][:, -1], rtol=1e-5, atol=1e-5
    )


def test_a_chunk_that_float32_cannot_hold_is_run_block_by_block(blocks: Tensor, asked: Tensor) -> None:
    net = RetNet(2, heads=2, width=WIDTH, dropout=0, decay_scales=(0.25, 4.0), tokens_per_block=BLOCK).eval()
    found, memory = extended(net, blocks, asked, [3, 1])
    assert_close(found, trained(net, blocks, asked)[0][:, 2:], rtol=1e-4, atol=1e-5)
    assert memory.chunks is not None  # of the single block
    assert extended(net, blocks[:, :3], asked, [3])[1].chunks is None
