"""What the reader of a figure must know about a benchmark, in words and numbers."""

from typing import Any

from pydantic import PositiveInt

from m3.config.experiment import Benchmark as BenchmarkConfig
from m3.config.experiment import Display


class Benchmark(Display):
    """The facts of a benchmark's file in config/benchmarks that figures and tables show."""

    name: str
    label: str
    """Its name in figures."""
    agent_steps: PositiveInt | None
    """Decisions that training is allowed; none: there are no published scores to be fair to."""

    @classmethod
    def of(cls, name: str, config: BenchmarkConfig) -> "Benchmark":
        """Take the facts from the file of a benchmark."""
        display = config.display
        allowed = config.environment_steps if display.simulation_steps_per_step else None
        scale = display.scale or (config.references.words if config.references else "")
        return cls(name=name, label=config.label, agent_steps=allowed, **{**display.model_dump(), "scale": scale})

    @property
    def simulation_steps(self) -> int | None:
        """The same in steps of the simulator."""
        factor = self.simulation_steps_per_step
        return None if self.agent_steps is None or factor is None else self.agent_steps * factor

    def tree(self) -> dict[str, Any]:
        """The facts for ``m3.files.hdf5``."""
        return self.model_dump()

    def tasks(self, count: int) -> str:
        """A number of tasks, in words: "1 game", "26 games"."""
        return f"{count} {self.task_word}{'' if count == 1 else 's'}"
