"""Run all GPU work on the fake device: it fails if a tensor stays on the host or if anything reads a value."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from m3.agent.policy import Policy
from m3.bench.fake.device import CUDA, Traffic, fake_cuda
from m3.bench.synthetic import RandomEnvironment
from m3.bench.timing import COMPONENTS, Bench, bench_settings
from m3.config.schema import Precision, RunSettings
from m3.diagnosis.diagnose import Extent, diagnose
from m3.environments import Environment, Mode
from m3.files.names import CHECKPOINTS
from m3.runs.checkpoint import CheckpointFolder
from m3.runs.lease import Lease
from m3.runs.loading import LoadedAgent
from m3.runs.progress import finish
from m3.seeding import randomness
from m3.training.evaluator import play_episodes


def rehearse(settings: RunSettings, stored_steps: int = 100) -> Iterator[tuple[str, Traffic]]:
    """Go through training, acting, checkpoints, timing and diagnosis; yield what was done and what it moved.

    Raises:
        RuntimeError: tensors of two devices meet.
        DataDependentOutputException: a value is read other than by ``m3.nn.host.download``.
    """
    with fake_cuda() as traffic:
        for name, do in _scenes(settings, stored_steps):
            traffic.clear()
            do()
            yield name, traffic


def _scenes(settings: RunSettings, stored_steps: int) -> Iterator[tuple[str, Callable[[], object]]]:
    bench = Bench(settings, CUDA, stored_steps)
    trainer, random = bench.trainer, randomness(CUDA, 0)
    parts = [part for part in COMPONENTS if part in trainer.components]

    def train(part: str) -> None:
        component = trainer.components[part]
        finish(component.train(random, settings.epochs), part, component.schedule.steps_per_epoch)

    for part in parts:
        yield f"train the {part}", partial(train, part)
    yield "collect", lambda: list(trainer.collector.collect(3, random))
    exploring = Policy(trainer.agent, temperature=0.5, epsilon=0.1)
    rows = trainer.replay.rows(0, 4)
    yield "explore", lambda: exploring.act(rows.observations, exploring.initial_state(4), random)
    yield "burn in", lambda: exploring.burn_in(rows.observations, rows.columns["actions"])
    yield (
        "evaluate",
        lambda: finish(play_episodes(trainer.agent, bench.test_environments, 2, 0.5, 0, CUDA), "evaluate", 2),
    )
    with TemporaryDirectory() as folder, Lease(Path(folder)) as lease:
        checkpoints = CheckpointFolder(Path(folder) / CHECKPOINTS, "rehearsal", lease)
        checkpoints.load_latest(trainer.replay)
        yield "save", lambda: checkpoints.save(1, trainer.state_dict(), trainer.replay)
        state = trainer.state_dict()
        yield "load", lambda: trainer.load_state_dict(state)
    for part in parts:
        yield f"train the {part} after loading", partial(train, part)
        yield f"time the {part}", partial(bench.time, part, steps=1, warmup=2)
        trainer.components[part].capture()
        yield f"capture the {part}", partial(bench.time, part, steps=4, warmup=2)
    environment = RandomEnvironment(settings.environment.family)
    spec = environment.observation_spec, environment.action_spec
    loaded = _InRandomEnvironments(settings, trainer.agent, *spec, agent_steps=0)
    yield "diagnose", lambda: diagnose(loaded, Extent(episodes=1, steps=12, dreams=4))


class _InRandomEnvironments(LoadedAgent):
    """An agent whose environments need no simulator."""

    def make_environment(self, mode: Mode = "test") -> Environment:
        return RandomEnvironment(self.settings.environment.family)


def main(benchmark: str, variant: str, precision: Precision) -> None:
    """Rehearse the tiny runs of a variant, eight training steps of each part at a time; print what was done."""
    content = bench_settings(benchmark, variant, precision=precision, size="tiny").model_dump()
    for part in COMPONENTS:
        if content[part] is not None:
            content[part]["schedule"]["steps_per_epoch"] = 8
    for name, traffic in rehearse(RunSettings.model_validate(content)):
        places = sorted(set(traffic.downloads))
        print(f"{name}: {len(traffic.uploads)} uploads, {traffic.captures} captures, downloads in {places}")
