"""Times of a run's parts, from the code that training itself runs."""

import resource
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import exp
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch

from m3.agent.policy import Policy
from m3.bench.operations import OperationCount
from m3.bench.synthetic import RandomEnvironment, random_lpips
from m3.config.schema import Compile, Precision, RunSettings
from m3.environments import SerialEnvironments
from m3.files.names import CHECKPOINTS
from m3.nn.perceptual import Lpips
from m3.runs.checkpoint import CheckpointFolder
from m3.runs.lease import Lease
from m3.seeding import Randomness, randomness
from m3.training.components import WorldModelComponent
from m3.training.schedule import parts_of_epoch
from m3.training.trainer import Trainer

COMPONENTS = ("tokenizer", "world_model", "controller")
PARTS = (*COMPONENTS, "replay", "collect", "evaluate", "checkpoint")
"""``replay``: a draw and an update of a world-model batch. ``collect``: a step with an environment that takes no time.
``evaluate``: the actions of all evaluation environments for one step."""


@dataclass(frozen=True)
class Timing:
    """One part: median, fastest and slowest seconds of a step, and how many steps were timed."""

    part: str
    batch_size: int | None
    seconds: float
    fastest: float
    slowest: float
    steps: int
    peak_memory_gb: float
    imagined_steps_per_second: float | None = None
    """The controller's imagined steps, of all trajectories together."""
    gflop: float | None = None
    """A component's operations in the matrix products and convolutions of a step, in billions (LSTMs not counted)."""


class Bench:
    """A trainer on random experience.

    Args:
        settings: of the run to time.
        device: where the networks are.
        stored_steps: steps in the replay.
        graphs: whether steps are captured and replayed.
        recompute: whether the world model's layers are computed again in its backward pass.
    """

    def __init__(
        self,
        settings: RunSettings,
        device: torch.device,
        stored_steps: int,
        graphs: bool = False,
        recompute: bool = False,
    ) -> None:
        self.settings = settings
        self.device = device
        family = settings.environment.family
        environment = RandomEnvironment(family)
        self.test_environments = SerialEnvironments(lambda: RandomEnvironment(family, episode_steps=20), count=2)
        perceptual: Lpips | None = None
        if settings.tokenizer is not None and settings.tokenizer.perceptual == "lpips":
            perceptual = random_lpips().to(device)
        self.trainer = Trainer(settings, environment, self.test_environments, perceptual, device, graphs, recompute)
        self._fill(environment, stored_steps)

    def time(self, part: str, steps: int, warmup: int) -> Timing:
        """Time ``steps`` steps of a part after ``warmup`` steps, of which all but the first tell the operations.

        Where the compiler makes kernels, nobody counts: it refuses to be watched.
        """
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        work = self.work(part)
        if warmup:
            next(work)
        operations = OperationCount()
        counted = self.settings.compile == "none" and warmup > 1
        with operations if counted else nullcontext():
            for _ in range(warmup - 1):
                next(work)
        seconds = [self._seconds(work) for _ in range(steps)]
        work.close()
        middle = median(seconds)
        timing = Timing(part, None, middle, min(seconds), max(seconds), steps, self._peak_memory())
        if part not in self.trainer.components:
            return timing
        batch_size = self.trainer.components[part].schedule.batch_size
        sequences = self.settings.sequences
        imagined = batch_size * (sequences.length - sequences.context_length + 1) / middle
        return replace(
            timing,
            batch_size=batch_size,
            imagined_steps_per_second=imagined if part == "controller" else None,
            gflop=operations.total / (warmup - 1) / 1e9 if counted else None,
        )

    def _seconds(self, work: Iterator[None]) -> float:
        """Time the next step of a part."""
        self._synchronize()
        start = perf_counter()
        next(work)
        self._synchronize()
        return perf_counter() - start

    def trace(self, part: str, steps: int, output: Path) -> str:
        """Write a trace of ``steps`` steps of a part, after one that does not count; return what took longest."""
        work = self.work(part)
        next(work)
        with torch.profiler.profile(record_shapes=True) as profile:
            for _ in range(steps):
                next(work)
                self._synchronize()
        work.close()
        profile.export_chrome_trace(str(output))
        order = "self_cuda_time_total" if self.device.type == "cuda" else "self_cpu_time_total"
        return profile.key_averages().table(sort_by=order, row_limit=20, max_name_column_width=40)

    def work(self, part: str) -> Generator[None, None, None]:
        """Do steps of a part, endlessly."""
        trainer = self.trainer
        random = randomness(self.device, self.settings.seed, "bench", part)
        epoch = self.settings.epochs
        while True:
            if part == "collect":
                yield from trainer.collector.collect(100, random)
            elif part == "evaluate":
                yield from self._repeat(lambda: self._act(random))
            elif part == "replay":
                yield from self._repeat(lambda: self._draw_and_update(random.numpy))
            elif part == "checkpoint":
                yield from self._checkpoints()
            else:
                yield from self._steps(part, random, epoch)

    def _steps(self, part: str, random: Randomness, epoch: int) -> Iterator[None]:
        """Do an epoch's steps of a component, each of which finds as many frames unknown as in a whole run."""
        replay, share = self.trainer.replay, share_of_unknown_frames(self.settings, part)
        for _ in self.trainer.components[part].train(random, epoch):
            yield
            if share:
                rows = np.arange(replay.first_row, replay.next_row)
                self.trainer.tokens.forget_rows(rows[random.numpy.random(len(rows)) < share])

    def _repeat(self, action: Callable[[], None]) -> Iterator[None]:
        while True:
            action()
            yield

    def _draw_and_update(self, rng: np.random.Generator) -> None:
        world_model = self.trainer.components["world_model"]
        assert isinstance(world_model, WorldModelComponent)
        sampler = world_model.sampler
        batch_size = self.settings.world_model.schedule.batch_size
        ids = sampler.sample(batch_size, rng)
        sampler.update(ids, rng.random(batch_size))

    def _act(self, random: Randomness) -> None:
        count = self.settings.evaluation.environments
        policy = Policy(self.trainer.agent, self.settings.evaluation.temperature)
        rows = self.trainer.replay.rows(0, count)
        policy.act(rows.observations, policy.initial_state(count), random)

    def _checkpoints(self) -> Iterator[None]:
        with TemporaryDirectory() as folder, Lease(Path(folder)) as lease:
            checkpoints = CheckpointFolder(Path(folder) / CHECKPOINTS, "bench", lease)
            checkpoints.load_latest(self.trainer.replay)
            while True:
                checkpoints.save(self.trainer.epoch, self.trainer.state_dict(), self.trainer.replay)
                yield

    def _fill(self, environment: RandomEnvironment, steps: int) -> None:
        observation = environment.reset()
        for _ in range(steps):
            action = environment.random_action()
            step = environment.step(action)
            self.trainer.replay.add(observation, action, step.reward, step.terminated, step.truncated, step.observation)
            observation = environment.reset() if step.truncated else step.observation

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def _peak_memory(self) -> float:
        """Return the device's peak memory in GB; on the CPU, that of the whole process so far."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def share_of_unknown_frames(settings: RunSettings, part: str) -> float:
    """Compute the share of the frames in a component's batches whose tokens have to be made, at the end of a run.

    Tokens are kept until the tokenizer trains, once in an epoch. When D of N rows have been drawn, N exp(-D / N) are
    unknown still. The tokenizer itself reads frames, not tokens, and without one there are no tokens to keep.
    """
    if part == "tokenizer" or settings.tokenizer is None:
        return 0.0
    sequences, rows = settings.sequences, settings.agent_steps
    model, controller = settings.world_model.schedule, settings.controller.schedule
    by_model = model.steps_per_epoch * model.batch_size * sequences.length
    frames = sequences.burn_in + sequences.context_length
    by_controller = controller.steps_per_epoch * controller.batch_size * frames
    before, drawn = (0, by_model) if part == "world_model" else (by_model, by_controller)
    return rows / drawn * (exp(-before / rows) - exp(-(before + drawn) / rows))


def timed_parts(settings: RunSettings) -> list[str]:
    """Name the parts that runs of these settings have."""
    return [part for part in PARTS if part != "tokenizer" or settings.tokenizer is not None]


def projected_hours(settings: RunSettings, timings: list[Timing]) -> dict[str, float]:
    """Project the hours that each timed part takes of a whole run."""
    steps: dict[str, int] = {}
    for epoch in range(1, settings.epochs + 1):
        for part, count in parts_of_epoch(settings, epoch).items():
            steps[part] = steps.get(part, 0) + count
    return {t.part: steps[t.part] * t.seconds / 3600 for t in timings if t.part in steps and t.part != "evaluate"}


def bench_settings(
    benchmark: str,
    variant: str,
    batch_size: int | None = None,
    precision: Precision | None = None,
    perceptual: bool = True,
    compile_: Compile = "none",
    size: str | None = None,
) -> RunSettings:
    """Make the settings of a benchmark's runs, with another batch size of all components or precision where given.

    Without ``perceptual``, the tokenizer's perceptual distance is left out. ``size`` is as for ``load_run``.
    """
    from m3.config.experiment import Run  # the rest of this module needs no YAML
    from m3.config.layers import Layer, validate
    from m3.config.loading import load_benchmark, load_run

    loaded = load_benchmark(benchmark)
    settings = load_run(Run(benchmark, variant, loaded.tasks[0], seed=0), size=size)
    content = settings.model_dump()
    if batch_size is not None:
        for part in COMPONENTS:
            if content[part] is not None:
                content[part]["schedule"]["batch_size"] = batch_size
    if not perceptual and content["tokenizer"] is not None:
        content["tokenizer"]["perceptual"] = "none"
    if precision is not None:
        content["precision"] = precision
    content["compile"] = compile_
    return validate(RunSettings, [Layer("the command's options", content)])
