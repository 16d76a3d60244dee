"""What the files in config/ hold beside the settings of a run: benchmarks, variants and experiments."""

import shlex
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, WithJsonSchema, field_validator, model_validator

from m3.config.base import NonNegativeInt, Seed, Settings
from m3.errors import escaped, shown, unknown_name

MOST_SEEDS = 10_000
"""Of one benchmark or group."""


def is_plain(text: str) -> bool:
    """Tell whether a text can stand in pages, tables and comments: it is one line without angle brackets."""
    return escaped(text) == text and not set("<>") & set(text)


def check_label(label: str) -> str:
    """Return a label, which is a plain text and not empty. Raises ValueError for any other."""
    if not label.strip() or not is_plain(label):
        raise ValueError(f"must be one line of text without < and >, got {shown(label)}")
    return label


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
"""A name that becomes a folder."""
TaskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*([/:][A-Za-z0-9][\w.-]*)*$")]
"""A task's name, which becomes a folder too. Ids of Gymnasium may have a module and a namespace."""
Label = Annotated[str, Field(max_length=100), AfterValidator(check_label)]
"""A name in figures, tables, pages and comments: one line without angle brackets."""
SeedCount = Annotated[int, Field(gt=0, le=MOST_SEEDS)]
PartialSettings = Annotated[dict[str, Any], WithJsonSchema({"$comment": "PartialSettings"})]
"""Some of the keys of ``RunSettings``, nested as there. They are checked once all layers are merged."""
RESERVED_NAMES = ("published", "runs")
"""Folders of results/ that belong to no experiment."""


class Run(NamedTuple):
    """The four names that identify a run."""

    benchmark: str
    variant: str
    task: str
    seed: int

    @property
    def folder(self) -> str:
        """Where the run's files stand, relative to the folder of all runs."""
        return f"{self.benchmark}/{self.variant}/{self.task_folder}/seed-{self.seed}"

    @property
    def task_folder(self) -> str:
        """The task's name as that of one folder: ``+`` for a slash, ``~`` for a colon."""
        return self.task.replace("/", "+").replace(":", "~")


def unchanged_variant(name: str) -> str:
    """Return the variant of a name: itself, or of a changed one ("m3+controller.discount-0.98") what was changed."""
    return name.partition("+")[0]


def task_of_folder(name: str) -> str:
    """Return the task whose folder has this name: the inverse of ``Run.task_folder``."""
    return name.replace("+", "/").replace("~", ":")


class JobResources(Settings):
    """What a job asks of the machine. None of it changes a result."""

    gpu: NonNegativeInt
    threads: PositiveInt
    mem_mb: PositiveInt
    """Memory in megabytes."""
    runtime: PositiveInt
    """Longest time in minutes."""


class BenchmarkResources(Settings):
    """Resources of a benchmark's two long kinds of job."""

    train: JobResources
    evaluate: JobResources


class Reference(Settings):
    """What a task's scores are compared with."""

    low: float
    """Counts as 0 in normalised scores."""
    high: float
    """Counts as 1."""

    @model_validator(mode="after")
    def _apart(self) -> "Reference":
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        return self


class References(Settings):
    """How the scores of a benchmark are normalised."""

    low_means: Label = "low reference"
    """What the low scores are, for example "random play"."""
    high_means: Label = "high reference"
    tasks: dict[str, Reference]
    """Tasks without one are trained and scored; their scores are shown as they are, and count in no aggregate."""

    @property
    def words(self) -> str:
        """What the scores are that count as 0 and 1."""
        return f"(0: {self.low_means}, 1: {self.high_means})"


class Display(Settings):
    """What figures and tables say of a benchmark, beside its label."""

    task_word: str = "task"
    """What one task is called, in the singular."""
    raw_score: str = "Return"
    normalized_score: str = "Normalised score"
    scale: str = ""
    """What 0 and 1 mean on the normalised scale, in brackets; empty: as in ``references``."""
    percent: bool = False
    """Whether normalised scores are written as percentages."""
    step_axis: str = "Agent steps"
    """Label of the axis of learning curves: what a step is."""
    simulation_step: str = "simulation step"
    """What a step of the simulator is called, in the singular."""
    simulation_steps_per_step: PositiveInt | None = None
    """Steps of the simulator per decision, for published scores to be compared at equal experience; none: there are
    no published scores that would have to have the same."""
    reference: str = "M3"
    """The published method that all others are compared with."""
    training_hours: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Published times of a training of the reference, by device."""
    reproduction: str | None = None
    """The published method that stands beside the reference wherever own runs are shown: others ran its code."""


class Benchmark(Settings):
    """config/benchmarks/{name}.yaml: tasks, and what all variants share."""

    label: Label
    """Name in figures and tables."""
    environment_steps: PositiveInt
    """Agent steps of a full training run."""
    final_episodes: PositiveInt
    """Episodes of the evaluation after training, which gives the run's score."""
    seeds: SeedCount
    """Seeds of a full experiment: 0 to seeds - 1."""
    tasks: Annotated[tuple[TaskName, ...], Field(min_length=1, strict=False)]
    resources: BenchmarkResources
    references: References | None = None
    """Figures need them."""
    display: Display = Display()
    published: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """The published methods in figures where an experiment names none; empty: all of the benchmark."""
    settings: PartialSettings

    @model_validator(mode="after")
    def _references_are_of_tasks(self) -> "Benchmark":
        for task in self.references.tasks if self.references else ():
            if task not in self.tasks:
                raise unknown_name("task in references", task, self.tasks)
        return self

    def lacks_reference(self, task: str) -> bool:
        """Whether the benchmark has references, but none of this task."""
        return self.references is not None and task not in self.references.tasks


class Variant(Settings):
    """config/variants/{name}.yaml: how an agent differs from the benchmarks' settings."""

    label: Label
    """Name in figures and tables."""
    command: str | None = None
    """A program that trains and evaluates in place of M3: docs/own_agent.md tells what it is given and has to leave."""
    settings: PartialSettings = Field(default_factory=dict)
    """For every benchmark."""
    benchmarks: dict[str, PartialSettings] = Field(default_factory=dict)
    """For single benchmarks, by name; wins over ``settings``."""

    @field_validator("command")
    @classmethod
    def _splits_into_words(cls, command: str | None) -> str | None:
        if command is not None:
            command_words(command)
        return command


def command_words(command: str) -> list[str]:
    """Split a command as a shell would. Raises ValueError where there is no command to split."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"a quotation mark is not closed in {command!r}") from error
    if not words or not words[0] or not command.isprintable():
        raise ValueError(f"must be a program and its arguments in one line, got {command!r}")
    return words


class RunGroup(Settings):
    """Runs of one benchmark: every variant on every task with every seed."""

    benchmark: str
    variants: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] = ("m3",)
    tasks: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | Literal["all"] = "all"
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MOST_SEEDS, strict=False)] | SeedCount | None = (
        None
    )
    """A list, or a number n for 0 to n - 1. Without it, the benchmark's number."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _listed(cls, tasks: object) -> object:
        if isinstance(tasks, str) and tasks != "all":
            raise ValueError(f"must be 'all' or a list such as [{tasks}], got {tasks!r}")
        return tasks

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, seeds: object) -> object:
        is_number = isinstance(seeds, int) and not isinstance(seeds, bool) and seeds > 0
        if seeds is not None and not isinstance(seeds, list | tuple) and not is_number:
            raise ValueError(f"must be a number n, for seeds 0 to n - 1, or a list such as [0, 3], got {seeds!r}")
        return seeds


class Selection(Settings):
    """The runs that have all of the given names."""

    benchmark: str | None = None
    variant: str | None = None
    task: str | None = None
    seed: NonNegativeInt | None = None

    def matches(self, run: Run) -> bool:
        wanted = (self.benchmark, self.variant, self.task, self.seed)
        return all(want in (None, name) for want, name in zip(wanted, run, strict=True))


class Override(Settings):
    """Settings of some runs, above those of benchmark and variant."""

    where: Selection
    set: PartialSettings


class Statistics(Settings):
    """The bootstrap behind every interval."""

    repetitions: PositiveInt = 10_000
    """Draws per interval."""
    band_repetitions: PositiveInt = 2_000
    """Draws per band of performance profiles and learning curves, which have hundreds of points."""
    seed: NonNegativeInt = 0


class Commands(Settings):
    """What trains and evaluates a run. Others of the same arguments serve rehearsals, in which nothing is trained."""

    train: str = "python -u -m m3 train"
    evaluate: str = "python -u -m m3 evaluate"


Tracker = Literal["auto", "tensorboard", "wandb", "none"]


class Tracking(Settings):
    """Where training is followed. All but the tool is for Weights & Biases."""

    tool: Tracker = "auto"
    """auto: TensorBoard where it is installed."""
    project: str = "m3"
    group: str = ""
    """None: the benchmark and the variant."""
    offline: bool = False
    """Nothing is sent; ``wandb sync`` does so later."""


class Experiment(Settings):
    """config/{experiment}.yaml: which runs there are, and what is made of them."""

    name: Name
    """Names the folders results/{name} and figures/{name}."""
    runs: Annotated[tuple[RunGroup, ...], Field(strict=False)]
    overrides: Annotated[tuple[Override, ...], Field(strict=False)] = ()
    """Later ones win."""
    scores: Literal["published", "own", "both"] = "both"
    """What figures and tables show: published scores, those of this experiment's runs, or both side by side."""
    published: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | Literal["all"] | None = None
    """The published methods in figures: a list, or all. Without it, the benchmarks' short lists."""
    score_files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """CSV files of other methods' scores, which appear in all figures and tables (docs/scores.md)."""
    published_figures: bool = False
    """Also make the figures and tables of the published scores alone."""
    partial: bool = False
    """Figures show the runs that are finished, instead of asking for the missing ones."""
    final_episodes: PositiveInt | None = None
    """In place of the benchmarks' numbers."""
    statistics: Statistics = Statistics()
    resources: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    """Where they differ from the benchmarks': benchmark -> train or evaluate -> resource -> value."""
    commands: Commands = Commands()
    tracking: Tracking | None = None
    """Without it, as `m3 train` does by itself."""

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"{name!r} is taken, it names a folder of results/")
        return name
