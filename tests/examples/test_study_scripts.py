"""The scripts behind the page on small agents: what they measure, and what they put back."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from toy_runs import toy_settings

import m3.training.components
from m3.config.identity import canonical
from m3.config.schema import RunSettings
from m3.config.simulators import DmcEnvironment, EnvironmentSettings, GymnasiumEnvironment
from m3.environments import make_environment
from m3.files.run_folder import resolved_name
from m3.reference.golden_agent import load_agent, read_actions, read_observations
from m3.reference.golden_file import GoldenFile
from m3.specs import DiscreteActions
from m3.world_model.losses import WorldModelBatch, world_model_losses

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).parents[1] / "golden/training_step"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def uncertainty() -> ModuleType:
    return script("token_uncertainty")


@pytest.fixture(scope="module")
def faults() -> ModuleType:
    return script("faults")


def task_settings(environment: EnvironmentSettings, task: str) -> RunSettings:
    return toy_settings("vector").model_copy(update={"environment": environment, "task": task})


CART_POLES = [
    task_settings(DmcEnvironment(family="dmc"), "cartpole-balance"),
    task_settings(DmcEnvironment(family="dmc", action_repeat=3), "cartpole-swingup"),
    task_settings(GymnasiumEnvironment(family="gymnasium"), "CartPole-v1"),
]


@pytest.mark.parametrize("settings", CART_POLES, ids=lambda settings: settings.task)
def test_the_simulator_follows_as_the_environment_does(settings: RunSettings, uncertainty: ModuleType) -> None:
    environment = make_environment(settings.environment, settings.task, "test")
    follow, random = uncertainty.simulator(settings), np.random.default_rng(0)
    observation = environment.reset(0)["vector"]
    for _ in range(8):
        discrete = isinstance(environment.action_spec, DiscreteActions)
        action = random.integers(2, size=1) if discrete else random.uniform(-1, 1, 1).astype(np.float32)
        followed = follow(observation.astype(np.float64), action)
        observation = environment.step(action).observation["vector"]
        np.testing.assert_allclose(followed, observation, atol=2e-5)
    environment.close()


def test_states_are_drawn_from_all_those_with_the_same_tokens(uncertainty: ModuleType) -> None:
    observation = np.array([0.31, np.cos(2.0), np.sin(2.0), -1.7, 4.2])
    states = uncertainty.states_with_tokens_of(observation, True, np.random.default_rng(0))
    assert len(states) > uncertainty.STATES / 2
    assert (uncertainty.tokens_of(states) == uncertainty.tokens_of(observation[None])).all()
    np.testing.assert_allclose(states[:, 1] ** 2 + states[:, 2] ** 2, 1)
    bounds = uncertainty.cells()
    token = uncertainty.tokens_of(observation[None])[0, 4]
    assert np.ptp(states[:, 4]) > 0.9 * (bounds[token + 1] - bounds[token])


def test_entropies(uncertainty: ModuleType) -> None:
    assert uncertainty.entropy(np.array([[1, 5], [1, 6], [1, 5], [1, 6]])) == pytest.approx(np.log(2) / 2)
    # nothing moves: the next tokens are those that were seen
    assert uncertainty.entropy(uncertainty.tokens_of(np.full((10, 3), 0.7))) == 0


def test_other_tasks_are_refused(uncertainty: ModuleType) -> None:
    with pytest.raises(ValueError, match="states can be set in cart-poles only, not of reacher-easy"):
        uncertainty.simulator(task_settings(DmcEnvironment(family="dmc"), "reacher-easy"))


def test_the_fault_learns_the_end_of_a_step_from_the_prediction_before_its_action(faults: ModuleType) -> None:
    """The losses that the authors' code computes for the second batch of each golden file, uncorrected."""
    for name, expected in (("image_discrete", 0.644), ("vector_continuous", 0.768), ("mixed_discrete", 0.748)):
        golden = GoldenFile(GOLDEN / f"{name}.npz")
        prefix = "world_model_step/batch/"
        agent, settings, observations, actions = load_agent(golden, prefix, batch_axes=3)
        raw = {key: value[1] for key, value in read_observations(golden, prefix, observations).items()}
        rewards, ends, mask = (golden.tensor(prefix + key)[1] for key in ("reward", "end", "mask"))
        taken = read_actions(golden, f"{prefix}action", actions)[1]
        batch = WorldModelBatch(agent.tokenizer.encode(raw), taken, rewards, ends.bool(), mask)
        arguments = (agent.world_model, batch, agent.tokenizer.codebooks, settings.sequences.context_length)
        faulty = faults.losses_with_early_terminations(*arguments)
        assert faulty.terminations.item() == pytest.approx(expected, abs=5e-4)
        assert faulty.observations == world_model_losses(*arguments).observations


def test_a_run_trains_with_the_fault_of_its_variant(
    faults: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[list[str]] = []
    monkeypatch.setattr(faults, "m3_main", lambda arguments: trained.append(arguments) or 0)
    right = m3.training.components.world_model_losses
    monkeypatch.setattr(m3.training.components, "world_model_losses", right)  # is set back after the test
    for variant, used in (("m3", right), ("fault-end-labels", faults.losses_with_early_terminations)):
        settings = toy_settings("vector", variant=variant)
        config = tmp_path / resolved_name(settings)
        config.write_text(canonical(settings))
        assert faults.main(["--wait", "--config", str(config), "--run", "there"]) == 0
        assert trained[-1] == ["train", "--wait", "--config", str(config), "--run", "there"]
        assert m3.training.components.world_model_losses is used


@pytest.mark.parametrize(("lava", "expected"), [((4, 5), "top"), ((3, 5), "middle"), ((3, 4), "bottom")])
def test_a_gap_is_where_the_wall_has_no_lava(lava: tuple[int, int], expected: str) -> None:
    cells = np.ones((9, 3), np.int64)
    cells[list(lava), 0] = 9
    assert script("by_gap").gap(cells) == expected


def test_real_rooms_have_the_gap_in_three_places() -> None:
    environment = make_environment(
        GymnasiumEnvironment(family="gymnasium", file="examples/minigrid/rooms.py"), "Grid-LavaGapS5-v0", "test"
    )
    gap = script("by_gap").gap
    gaps = {gap(environment.reset(seed)["token_2d"]) for seed in range(20)}
    assert gaps == {"top", "middle", "bottom"}


def test_the_table_of_the_study_is_that_of_the_page() -> None:
    """If this fails: python examples/study_table.py prints it."""
    page = (EXAMPLES.parent / "docs/learning.md").read_text(encoding="utf-8")
    assert "\n".join(script("study_table").lines()) in page
