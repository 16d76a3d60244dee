"""Weights files: whole or refused."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from toy_runs import toy_agent, toy_settings

from m3.agent.agent import Agent
from m3.errors import UserError
from m3.runs.weights import load_weights, save_weights

SETTINGS = toy_settings("mixed")


@pytest.fixture
def agent() -> Agent:
    return toy_agent("mixed")


@pytest.fixture
def file(agent: Agent, tmp_path: Path) -> Path:
    save_weights(tmp_path / "weights.safetensors", agent, SETTINGS, agent_steps=1234)
    return tmp_path / "weights.safetensors"


def test_weights_come_back_with_their_settings(file: Path, agent: Agent) -> None:
    weights = load_weights(file)
    assert (weights.settings, weights.agent_steps) == (SETTINGS, 1234)
    assert weights.state.keys() == agent.state_dict().keys()
    for name, tensor in agent.state_dict().items():
        assert weights.state[name].dtype == tensor.dtype
        assert torch.equal(weights.state[name], tensor)


def test_saving_again_gives_the_same_bytes(file: Path, agent: Agent) -> None:
    other = file.with_name("other.safetensors")
    save_weights(other, agent, SETTINGS, agent_steps=1234)
    assert other.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("kept", [0, 7, 100, 5000, -1])
def test_a_truncated_file_is_refused(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=file.name):
        load_weights(file)


def test_a_flipped_bit_anywhere_is_found(file: Path) -> None:
    """In the header's length, in the description, in the tensors' names and places, and in the tensors."""
    whole = file.read_bytes()
    (header,) = struct.unpack("<Q", whole[:8])
    rng = np.random.default_rng(0)
    inside_header = rng.choice(np.arange(8, 8 + header), 150, replace=False)
    inside_tensors = rng.choice(np.arange(8 + header, len(whole)), 30, replace=False)
    for position in [*range(8), *inside_header, *inside_tensors]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=file.name):
            load_weights(file)


def test_a_missing_file_tells_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train the run first"):
        load_weights(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("metadata", [None, {"m3": json.dumps({"format": "m3.other"})}, {"m3": "[1]"}, {"m3": "text"}])
def test_a_foreign_file_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "foreign.safetensors", metadata)
    with pytest.raises(UserError, match="foreign"):
        load_weights(tmp_path / "foreign.safetensors")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no tensors " * 1000)
    with pytest.raises(UserError, match="text"):
        load_weights(tmp_path / "text.safetensors")
