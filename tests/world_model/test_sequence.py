"""Sequence models: all keep one protocol, and nothing outside asks which there is."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from toy_runs import random_steps, toy_agent, toy_settings, train_in_folder

from m3.agent.agent import Agent
from m3.config.experiment import Run
from m3.config.loading import load_benchmark, load_run
from m3.errors import UserError
from m3.files.names import METRICS, WEIGHTS
from m3.runs.loading import load
from m3.watch.streams import play_imagined
from m3.world_model.sequence import KINDS, Attention, BlockShape

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples/own_sequence_model/recurrent.py"
BATCH, LENGTH = 3, 4


def own(file: Path = FILE, name: str = "Recurrent", **options: Any) -> dict[str, Any]:
    return {"kind": "own", "model": f"{file}:{name}", "options": options}


MODELS = {"retention": {"kind": "retention"}, "attention": {"kind": "attention"}, "own": own(depth=2)}
TASKS = ("all_modalities", "vector")


def agent_with(sequence: Mapping[str, Any], task: str = "all_modalities") -> Agent:
    return toy_agent(task, world_model={"sequence": dict(sequence)})


def random_blocks(agent: Agent) -> Tensor:
    tokens, actions = random_steps(agent, BATCH, LENGTH)
    with torch.no_grad():
        return agent.world_model.embed(tokens, actions, agent.tokenizer.codebooks)


def test_every_kind_is_tried_here() -> None:
    assert MODELS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("task", TASKS)
@torch.no_grad()
def test_imagination_predicts_what_training_does(kind: str, task: str) -> None:
    agent = agent_with(MODELS[kind], task)
    model, blocks = agent.world_model, random_blocks(agent)
    at_once = model.predict(blocks, LENGTH + 1)
    assert at_once.shape == (BATCH, LENGTH + 1, model.observation_tokens, model.width)
    assert_close(model.predict(blocks, 2), at_once[:, -2:], atol=2e-6, rtol=1e-5)
    memory, fed = model.empty_memory(), 0
    for chunk in blocks.split([2, 1, 1], dim=1):
        outputs, memory = model.extend(chunk, memory)
        fed += chunk.shape[1]
        assert_close(outputs, at_once[:, fed], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_no_prediction_knows_its_own_step(kind: str) -> None:
    agent = agent_with(MODELS[kind])
    blocks = random_blocks(agent)
    other = blocks.clone()
    other[:, 2] += 1
    before, after = (agent.world_model.predict(b, LENGTH + 1) for b in (blocks, other))
    assert_close(after[:, :3], before[:, :3], atol=1e-6, rtol=0)
    assert not any(torch.equal(after[:, step], before[:, step]) for step in (3, 4))


@pytest.mark.parametrize("kind", MODELS)
def test_a_memory_may_be_used_again(kind: str) -> None:
    agent = agent_with(MODELS[kind])
    model, blocks = agent.world_model, random_blocks(agent)
    _, begun = model.extend(blocks[:, :2], model.empty_memory())
    first, _ = model.extend(blocks[:, 2:3], begun)
    other, _ = model.extend(-blocks[:, 2:3], begun)
    again, _ = model.extend(blocks[:, 2:3], begun)
    assert_close(again, first, atol=0, rtol=0)
    assert not torch.allclose(other, first)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_a_run_trains_and_dreams(kind: str, task: str, tmp_path: Path) -> None:
    settings = toy_settings(task, world_model={"sequence": MODELS[kind]})
    folder = train_in_folder(tmp_path / "run", settings)
    assert (folder / WEIGHTS).exists()
    assert (folder / METRICS).exists()
    loaded = load(folder, own_code=[FILE])
    environment = loaded.make_environment()
    dream = play_imagined(loaded, environment, 0.5, 0, lambda decision: decision.action)
    steps = [next(dream) for _ in range(2 * settings.sequences.length)]
    assert all(torch.isfinite(torch.tensor(step.forecast.reward)) for step in steps)
    environment.close()


def tensors(memory: object) -> list[Tensor]:
    if isinstance(memory, Tensor):
        return [memory]
    if is_dataclass(memory):
        return [t for field in fields(memory) for t in tensors(getattr(memory, field.name))]
    return [t for part in memory for t in tensors(part)] if isinstance(memory, list | tuple) else []


@pytest.mark.parametrize("sequence", [*list(MODELS.values())[:2], {"kind": "attention", "cache": "bfloat16"}], ids=str)
def test_the_size_of_the_memory_is_as_told(sequence: dict[str, Any]) -> None:
    agent = agent_with(sequence)
    model, blocks = agent.world_model, random_blocks(agent)
    memory = model.empty_memory()
    for block in blocks[:, : LENGTH - 1].split(1, dim=1):
        _, memory = model.extend(block, memory)
    assert sum(t.nbytes for t in tensors(memory)) == model.sequence.memory_bytes(BATCH)
    assert agent_with(own()).world_model.sequence.memory_bytes(BATCH) is None


@pytest.mark.parametrize(
    ("benchmark", "tokens"), [("atari100k", (65, 64)), ("dmc500k", (30, 24)), ("craftax1m", (148, 147))]
)
@torch.no_grad()
def test_a_bfloat16_cache_moves_predictions_by_thousandths(benchmark: str, tokens: tuple[int, int]) -> None:
    """At the paper's sizes, of outputs that deviate by 1 from their mean; documented in docs/simulus.md."""
    task = load_benchmark(benchmark).tasks[0]
    settings = load_run(Run(benchmark, "attention", task, 0))
    torch.manual_seed(0)
    model = Attention(settings.world_model, BlockShape(*tokens, settings.sequences.length)).eval()
    blocks = torch.randn(1, settings.sequences.length - 1, tokens[0], settings.world_model.width)
    outputs = []
    for cache in (torch.float32, torch.bfloat16):
        model.network.cache_dtype = cache
        memory = model.empty_memory()
        for block in blocks.split(1, dim=1):
            output, memory = model.extend(block, memory)
        outputs.append(output)
    error = (outputs[0] - outputs[1]).abs()
    assert outputs[0].std() == pytest.approx(1, abs=0.01)
    assert 0 < error.mean() < 0.002
    assert error.max() < 0.01


@pytest.mark.parametrize("task", TASKS)
def test_weights_from_when_retention_was_the_only_kind_are_read(task: str) -> None:
    old_names = {"sequence.network.": "retnet.", "sequence.placeholders.": "placeholders."}
    agent, other = (toy_agent(task, seed=seed) for seed in (0, 1))
    old = dict(agent.state_dict())
    for new, before in old_names.items():
        for name in [name for name in old if name.startswith(f"world_model.{new}")]:
            old[name.replace(new, before)] = old.pop(name)
    assert sum(".retnet." in name or "world_model.placeholders." in name for name in old) > 10
    other.load_state_dict(old)
    assert all(torch.equal(value, agent.state_dict()[name]) for name, value in other.state_dict().items())


def test_attention_has_no_use_for_decay_scales() -> None:
    settings = toy_settings("vector", world_model={"sequence": {"kind": "attention"}, "decay_scale_min": 2})
    assert settings.world_model.decay_scale_min is None
    assert isinstance(agent_with({"kind": "attention"}).world_model.sequence, Attention)


def test_the_variant_of_the_example_names_its_file() -> None:
    text = (FILE.parent / "recurrent.yaml").read_text()
    assert f"{FILE.relative_to(ROOT)}:Recurrent" in text


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        (own(name="Recurent"), "has no class Recurent that extends m3.world_model.sequence.SequenceModel"),
        (own(layers=2), "cannot be made: .*unexpected keyword argument 'layers'"),
        (own(file=FILE.with_name("recurent.py")), "world_model.sequence.model: .*recurent.py does not exist"),
    ],
)
def test_a_mistake_is_said_in_one_line(sequence: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        agent_with(sequence)
    assert "\n" not in str(caught.value)
