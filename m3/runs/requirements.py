"""How much memory and disk a run needs, reported and checked before it starts."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from m3.config.schema import RunSettings
from m3.data.replay import Replay
from m3.errors import UserError
from m3.runs.checkpoint import KEPT_CHECKPOINTS
from m3.world_model.world_model import WorldModel

_COPIES_ON_DISK = 3
"""Parameters and the two moments of Adam are in a checkpoint."""
_COPIES_IN_MEMORY = 7
"""The same, the gradients, and a copy of what a checkpoint holds while it is written."""
_GROUPS = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Files of Linux's control groups, version 2 and 1: limit, usage, and the name of what can be given back at once."""


@dataclass(frozen=True)
class Requirements:
    """Memory and disk that a run needs, in bytes; batches, simulators and libraries come on top."""

    experience: int
    """The replay's rows when the run ends, in memory and on the disk; a dataset of them is smaller."""
    memory: int
    """The most it can take: while the replay grows, there are two of it for a moment."""
    disk: int
    """Experience and checkpoints."""

    @classmethod
    def of(cls, settings: RunSettings, replay: Replay, parameter_bytes: int) -> "Requirements":
        """Compute what a run needs until its end."""
        rows = min(settings.agent_steps, replay.capacity_rows)
        before_growing = 1
        while 2 * before_growing < rows:
            before_growing *= 2
        state = parameter_bytes * _COPIES_ON_DISK + rows * 8  # a priority for every window
        return cls(
            experience=rows * replay.row_bytes,
            memory=max(rows, 2 * before_growing) * replay.row_bytes + parameter_bytes * _COPIES_IN_MEMORY,
            disk=rows * replay.row_bytes + (KEPT_CHECKPOINTS + 1) * state,
        )

    def check(self, folder: Path, checkpoints: Path) -> str:
        """Compare what is needed with what there is; return both in a line.

        Args:
            folder: of the run, which exists.
            checkpoints: of the run; what they take already is not needed again.

        Raises:
            UserError: there is not enough.
        """
        disk = max(self.disk - folder_bytes(checkpoints), 0)
        free_disk, free_memory = shutil.disk_usage(folder).free, free_memory_bytes()
        if self.memory > free_memory:
            raise UserError(
                f"the run needs {size(self.memory)} of memory, of it {size(self.experience)} for its experience, and "
                f"{size(free_memory)} are free here: lower replay.capacity_gigabytes or use a machine with more"
            )
        if disk > free_disk:
            raise UserError(
                f"the run needs {size(disk)} more on the disk of {folder}, and {size(free_disk)} are free: free some, "
                "or choose another folder"
            )
        return (
            f"needs {size(self.memory)} of memory beside batches and libraries ({size(free_memory)} are free), "
            f"{size(disk)} more on the disk ({size(free_disk)} are free); a dataset of its experience up to "
            f"{size(self.experience)}"
        )


def check_batch(settings: RunSettings, model: WorldModel, device: torch.device) -> str:
    """Say how many tokens a step is, and compare what a batch of the world model takes at least with what there is.

    Counted are what each layer keeps of every token, and the logits; a batch takes several times as much.

    Raises:
        UserError: there is not enough memory on the device.
    """
    tokens = model.observation_tokens + model.action_embedding.tokens
    logits = sum(spec.count * sum(spec.vocabularies) for spec in model.specs.values())
    steps = settings.world_model.schedule.batch_size * settings.sequences.length
    needed = 4 * steps * (tokens * model.width * settings.world_model.layers + logits)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory_bytes()
    if needed > free:
        raise UserError(
            f"a step is {tokens} tokens, so that a batch of the world model needs at least {size(needed)}, and "
            f"{size(free)} are free on {device}: lower world_model.schedule.batch_size or sequences.length, or let the "
            "environment show less"
        )
    return f"a step is {tokens} tokens; a batch of the world model takes at least {size(needed)}"


def refuse_batches_without_data(settings: RunSettings) -> None:
    """Raise UserError where a part would never train, because its batches are larger than all that the run collects."""
    steps = settings.agent_steps
    for part in ("tokenizer", "world_model", "controller"):
        of_part = getattr(settings, part)
        if of_part is None or of_part.schedule.start_after_epoch >= settings.epochs:
            continue
        if of_part.schedule.batch_size > steps:
            raise UserError(
                f"{part}.schedule.batch_size is {of_part.schedule.batch_size}, and the whole run collects {steps} "
                "steps: it would never train; lower it, or raise epochs or collection.steps_per_epoch"
            )


def folder_bytes(folder: Path) -> int:
    """Add up what the files in a folder take."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def size(count: float) -> str:
    """Word bytes for people, such as "1.5 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def free_memory_bytes(machine: Path = Path("/proc/meminfo")) -> float:
    """Look how much memory this process can still get: the machine's, or less where a container or scheduler limits it.

    Infinite where the system does not tell.
    """
    lines = machine.read_text().splitlines() if machine.exists() else []
    available = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return min([math.inf, *available, *_left_in_groups()])


def _left_in_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Yield what each limited control group of this process leaves."""
    lines = own.read_text().splitlines() if own.exists() else []
    for controllers, group in (line.split(":", 2)[1:] for line in lines):
        if controllers in _GROUPS:
            limit, usage, spare = _GROUPS[controllers]
            lowest = Path(root, controllers, group.lstrip("/"))
            for folder in (lowest, *lowest.parents):
                if folder.is_relative_to(root) and (folder / limit).exists():
                    value = (folder / limit).read_text().strip()
                    if value != "max":
                        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                        used = int((folder / usage).read_text()) - int(statistics.get(spare, 0))
                        yield int(value) - used
