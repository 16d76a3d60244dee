"""Checkpoints of a run: each is whole or does not exist, and a damaged one gives way to the one before.

checkpoints/
  replay-000001.npz       rows of the replay, written once and shared by all checkpoints from number 1 on
  replay-000002.npz       the rows that were added between numbers 1 and 2
  checkpoint-000001/
    state.npz             everything else
    manifest.json         identity of the run, and size and SHA-256 of every file that belongs to the checkpoint
  checkpoint-000002/...
"""

import contextlib
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import m3
from m3.data.replay import Replay, Rows
from m3.errors import UserError
from m3.files.atomic import atomic_file, atomic_folder, durable_file
from m3.files.names import CHECKPOINT_FORMAT
from m3.files.tree import load_tree, save_tree

VERSION = 1
KEPT_CHECKPOINTS = 2
"""How many of a run are kept: should the newest be damaged, the one before is used."""

_logger = logging.getLogger(__name__)
_MANIFEST = "manifest.json"
_STATE = "state.npz"


@dataclass(frozen=True)
class _File:
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class _Part:
    """A file with consecutive rows of the replay."""

    file: _File
    first_row: int
    next_row: int


@dataclass(frozen=True)
class _Checkpoint:
    identity: str
    epoch: int
    state: _File
    parts: tuple[_Part, ...]


class _DamagedError(Exception):
    """A checkpoint that cannot be used; the message says why."""


class CheckpointFolder:
    """The checkpoints of one run, which has one writer at a time.

    Args:
        path: the folder; made by the first save.
        identity: what the run is, for example a hash of its settings. Checkpoints of another identity are refused.
        keep: how many checkpoints to keep.
    """

    def __init__(self, path: Path, identity: str, keep: int = KEPT_CHECKPOINTS) -> None:
        self._path = path
        self._identity = identity
        self._keep = keep
        self._kept: dict[int, _Checkpoint] | None = None  # by number, ascending; None before load_latest

    def load_latest(self, replay: Replay) -> dict[str, Any] | None:
        """Restore the newest whole checkpoint: once, before the first save.

        Args:
            replay: a new replay, which gets the content that it had.

        Returns:
            the state given to ``save``; None if there is no checkpoint.

        Raises:
            UserError: the newest whole checkpoint is of another run or another format version, or all are damaged.
        """
        self._kept = {}
        damages = []
        state = None
        for number in sorted(self._numbers(), reverse=True):
            folder = self._folder(number)
            try:
                checkpoint = self._read_manifest(folder)
                if not self._kept:
                    state = self._load(folder, checkpoint, replay)
            except _DamagedError as error:
                damages.append(str(error))
                _logger.warning("DAMAGED CHECKPOINT, not used: %s", error)
            else:
                self._kept = {number: checkpoint, **self._kept}
        if damages and not self._kept:
            raise UserError(
                f"no checkpoint in {self._path} is whole ({damages[0]}); delete the folder to start the run anew"
            )
        return state

    def save(self, epoch: int, state: dict[str, Any], replay: Replay) -> None:
        """Write a checkpoint, and then delete those that are too many.

        Args:
            epoch: how far training is, for people to read.
            state: a tree as ``save_tree`` takes it.
            replay: the replay; only rows that are new since the last checkpoint are written.

        Raises:
            UserError: the folder cannot be written, for example because the disk is full. All earlier checkpoints are
                as they were.
        """
        if self._kept is None:
            raise RuntimeError("load_latest must be called before the first save")
        number = max(self._numbers(), default=0) + 1
        latest = next(reversed(self._kept.values()), None)
        parts = [part for part in latest.parts if part.next_row > replay.first_row] if latest else []
        part_path = self._path / f"replay-{number:06d}.npz"
        try:
            rows = replay.rows_since(parts[-1].next_row if parts else 0)
            if rows.next_row > rows.first_row:
                with atomic_file(part_path) as file:
                    save_tree(file, rows.columns)
                parts.append(_Part(_measure(part_path), rows.first_row, rows.next_row))
            with atomic_folder(self._folder(number)) as folder:
                with durable_file(folder / _STATE) as file:
                    save_tree(file, {"state": state, "replay": replay.state_dict()})
                checkpoint = _Checkpoint(self._identity, epoch, _measure(folder / _STATE), tuple(parts))
                with durable_file(folder / _MANIFEST) as file:
                    file.write(_manifest_text(checkpoint).encode())
        except BaseException:
            shutil.rmtree(self._folder(number), ignore_errors=True)
            with contextlib.suppress(OSError):
                part_path.unlink()
            raise
        self._kept[number] = checkpoint
        self._prune()

    def _load(self, folder: Path, checkpoint: _Checkpoint, replay: Replay) -> dict[str, Any]:
        _check(folder / _STATE, checkpoint.state)
        for part in checkpoint.parts:
            _check(self._path / part.file.name, part.file)
        with open(folder / _STATE, "rb") as file:
            content = load_tree(file)
        replay.load_state_dict(content["replay"], self._read_parts(checkpoint))
        return content["state"]

    def _read_parts(self, checkpoint: _Checkpoint) -> Iterator[Rows]:
        for part in checkpoint.parts:
            with open(self._path / part.file.name, "rb") as file:
                yield Rows(part.first_row, load_tree(file))

    def _read_manifest(self, folder: Path) -> _Checkpoint:
        try:
            text = (folder / _MANIFEST).read_text(encoding="utf-8")
            content = json.loads(text)["content"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _DamagedError(f"{folder / _MANIFEST} cannot be read ({error})") from error
        if text != _sealed(content):
            raise _DamagedError(f"the checksum of {folder / _MANIFEST} does not match")
        if (content["format"], content["format_version"]) != (CHECKPOINT_FORMAT, VERSION):
            raise UserError(
                f"{folder} is of format {content['format']} version {content['format_version']}, written by "
                f"{content['created_by']}; this M3 reads {CHECKPOINT_FORMAT} version {VERSION}: continue with that M3, "
                f"or delete {self._path} to start the run anew"
            )
        if content["identity"] != self._identity:
            raise UserError(
                f"{folder} belongs to another run: its settings or its version of the training differ; delete "
                f"{self._path} to start the run anew"
            )
        parts = tuple(_Part(_File(**part.pop("file")), **part) for part in content["parts"])
        return _Checkpoint(content["identity"], content["epoch"], _File(**content["state"]), parts)

    def _prune(self) -> None:
        """Delete what no kept checkpoint needs: older ones, damaged ones, and what a killed process left."""
        assert self._kept is not None
        for number in list(self._kept)[: -self._keep]:
            del self._kept[number]
        needed = {self._folder(number).name for number in self._kept}
        needed |= {part.file.name for checkpoint in self._kept.values() for part in checkpoint.parts}
        for path in self._path.iterdir():
            ours = re.fullmatch(r"\.?(checkpoint-\d+|replay-\d+\.npz)(\.partial)?", path.name)
            if ours and path.name not in needed:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    with contextlib.suppress(OSError):
                        path.unlink()

    def _numbers(self) -> list[int]:
        return [
            int(path.name.removeprefix("checkpoint-"))
            for path in self._path.glob("checkpoint-*")
            if path.name.removeprefix("checkpoint-").isdecimal()
        ]

    def _folder(self, number: int) -> Path:
        return self._path / f"checkpoint-{number:06d}"


def _measure(path: Path) -> _File:
    with open(path, "rb") as file:
        return _File(path.name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _check(path: Path, expected: _File) -> None:
    try:
        found = _measure(path)
    except OSError as error:
        raise _DamagedError(f"{path} cannot be read: {error.strerror}") from error
    if found != expected:
        raise _DamagedError(f"{path} has {found.bytes} bytes of another content than the {expected.bytes} written")


def _manifest_text(checkpoint: _Checkpoint) -> str:
    head = {"format": CHECKPOINT_FORMAT, "format_version": VERSION, "created_by": f"m3 {m3.__version__}"}
    return _sealed(head | asdict(checkpoint))


def _sealed(content: Any) -> str:
    """Return JSON text of the content and its checksum; any other text of the same meaning counts as damaged."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({"content": content, "sha256": digest}, indent=1, sort_keys=True) + "\n"
