"""What the reader of a figure must know about each benchmark, in words and numbers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """Names and units of one benchmark."""

    name: str
    label: str
    task_word: str = "task"
    """What one task is called, in the singular."""
    raw_score: str = "Return"
    normalized_score: str = "Normalised score"
    scale: str = ""
    """What the values of the normalised score mean."""
    percent: bool = False
    """Whether normalised scores are written as percentages."""
    budget: str = ""
    """When final scores were taken, in words."""
    step_axis: str = "Agent steps"
    """Label of the axis of learning curves: what a step is."""
    agent_steps: int | None = None
    """Agent steps that training is allowed; none: no published budget."""
    curve_budget: int | None = None
    """The same budget as the published curves count it."""
    curve_steps_per_agent_step: int | None = 1
    """What one agent step counts in the published curves; none: each method's authors count their own way."""

    def tasks(self, count: int) -> str:
        """A number of tasks, in words: "1 game", "26 games"."""
        return f"{count} {self.task_word}{'' if count == 1 else 's'}"


ATARI = Benchmark(
    name="atari100k",
    label="Atari 100K",
    task_word="game",
    raw_score="Score",
    normalized_score="Human-normalised score",
    scale="(0: random play, 1: human play)",
    budget="after 100 K agent steps (400 K frames)",
    step_axis="Agent steps (of 4 frames)",
    agent_steps=100_000,
    curve_budget=400_000,
    curve_steps_per_agent_step=4,
)
DMC = Benchmark(
    name="dmc500k",
    label="DMC 500K",
    normalized_score="Return / 1000",
    scale="(1: highest possible return)",
    budget="after 500 K steps as each method's authors count them (M3: 500 K agent steps, 1 M simulation steps)",
    step_axis="Steps as each method's authors count them (M3: agent steps, of 2 simulation steps)",
    agent_steps=500_000,
    curve_budget=500_000,
    curve_steps_per_agent_step=None,
)
CRAFTAX = Benchmark(
    name="craftax1m",
    label="Craftax 1M",
    normalized_score="Return, % of 226",
    scale="(226: highest possible return)",
    percent=True,
    budget="after 1 M agent steps",
    agent_steps=1_000_000,
    curve_budget=1_000_000,
)

_KNOWN = {benchmark.name: benchmark for benchmark in (ATARI, DMC, CRAFTAX)}


def benchmark_info(name: str, label: str = "", scale: str = "") -> Benchmark:
    """Names and units of a benchmark; of one that is not published, with this label and scale."""
    return _KNOWN.get(name) or Benchmark(name=name, label=label or name, scale=scale)
