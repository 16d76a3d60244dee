"""How far a run is: a small file of JSON, written while it trains, for the status of an experiment and for scripts."""

import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from m3.files.atomic import atomic_file
from m3.files.names import PROGRESS

AttemptState = Literal["setting up", "training", "finished", "stopped", "failed"]


class Attempt(BaseModel):
    """One process that trained the run, or tried to."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    begun: datetime
    updated: datetime
    """When it last wrote this file."""
    host: str
    process: int
    state: AttemptState
    """A process that was killed stays in the state that it was in."""
    message: str = ""
    """Why it stopped or failed, in one line."""

    @property
    def seconds(self) -> float:
        """From the beginning to the last word."""
        return (self.updated - self.begun).total_seconds()


class ProgressRecord(BaseModel):
    """The content of a run's progress file."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    format: Literal["m3.progress"] = "m3.progress"
    format_version: Literal[1] = 1
    config_hash: str
    """The hash of the run's settings: what other settings left in the folder does not count."""
    benchmark: str
    variant: str
    task: str
    seed: int
    epochs: int
    """How many epochs the whole run has."""
    epoch: int = 0
    """The last one that has ended."""
    saved_epoch: int = 0
    """The epoch of the newest checkpoint, after which the next process would continue."""
    agent_steps: int = 0
    seconds_per_epoch: float | None = None
    """The mean of the latest epochs; null before the first."""
    seconds_left: float | None = None
    """Until training ends; null where nothing is known."""
    estimated: bool = True
    """Whether some part of an epoch has not run yet, so that ``seconds_left`` guesses it from its operations."""
    attempts: tuple[Attempt, ...] = ()
    """Oldest first."""


def read_progress(folder: Path, config_hash: str) -> ProgressRecord | None:
    """Read how far a run is; none where it has not begun with these settings or the file cannot be understood."""
    try:
        record = ProgressRecord.model_validate_json((folder / PROGRESS).read_bytes())
    except (OSError, ValidationError):
        return None
    return record if record.config_hash == config_hash else None


def schema_text() -> str:
    """Return the file's JSON schema; ``make schemas`` writes it to docs."""
    return json.dumps(ProgressRecord.model_json_schema(mode="serialization"), indent=1, sort_keys=True) + "\n"


def write_progress(folder: Path, record: ProgressRecord) -> None:
    """Write the file, atomically. Raises UserError where the folder cannot be written."""
    with atomic_file(folder / PROGRESS) as file:
        file.write(record.model_dump_json(indent=1).encode() + b"\n")


if __name__ == "__main__":
    print(schema_text(), end="")
