"""Checkpoints of a run: each is complete or absent, and the one before replaces a damaged one.

checkpoints/
  replay-000003-000001.npz       rows of the replay, written once and shared by all checkpoints from number 1 on
  replay-000003-000002.npz       the rows that were added between numbers 1 and 2
  checkpoint-000003-000001/
    state.npz                    everything else
    manifest.json                identity of the run, and size and SHA-256 of every file that belongs to the checkpoint
  checkpoint-000003-000002/...

The first number is the generation of the lease under which it was written (``m3.runs.lease``), the second counts on.
The newest checkpoint is that of the newest generation: what a process that has lost its lease still leaves is older
than all that its successor writes. Names without a generation are of an M3 before there was one.
"""

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from m3.data.replay import Replay, Rows
from m3.errors import UserError
from m3.files.atomic import Fence, atomic_file, atomic_folder, durable_file
from m3.files.tree import save_tree
from m3.runs.manifest import (
    MANIFEST,
    Checkpoint,
    DamagedError,
    Part,
    check,
    manifest_text,
    measure,
    read_manifest,
    read_tree,
    understood,
    unreadable,
)

KEPT_CHECKPOINTS = 2
"""How many of a run are kept: should the newest be damaged, the one before is used."""

_logger = logging.getLogger(__name__)
_STATE = "state.npz"
_OURS = re.compile(
    r"\.?(checkpoint-|replay-)((?P<generation>[0-9]+)-)?(?P<number>[0-9]+)(\.npz)?(\.g[0-9]+)?(\.partial)?"
)
_CHECKPOINT = re.compile(r"checkpoint-((?P<generation>[0-9]+)-)?(?P<number>[0-9]+)")


class _Name(NamedTuple):
    """Of a checkpoint; later ones are greater."""

    generation: int
    number: int

    def __str__(self) -> str:
        return f"{self.generation:06d}-{self.number:06d}"


class EarlierReplay:
    """A replay as it was, while the replay itself goes on: stored rows never change, so that none is copied."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._state = replay.state_dict()
        self.first_row, self._next_row = replay.first_row, replay.next_row

    @property
    def is_whole(self) -> bool:
        """Whether the replay still has all rows that it had."""
        return self._replay.first_row == self.first_row

    def rows_since(self, row: int) -> Rows:
        """Copy the rows from ``row`` on that were stored."""
        return self._replay.rows(max(row, self.first_row), self._next_row)

    def state_dict(self) -> dict[str, Any]:
        """Return all but the rows themselves."""
        return self._state


class CheckpointFolder:
    """The checkpoints of one run, which has one writer at a time.

    Args:
        path: the folder; made by the first save.
        identity: what the run is, for example a hash of its settings. Checkpoints of another identity are refused.
        lease: the right to write, without which nothing can be saved; who has lost it leaves everything as it is.
        keep: how many checkpoints to keep.
    """

    def __init__(self, path: Path, identity: str, lease: Fence | None = None, keep: int = KEPT_CHECKPOINTS) -> None:
        self.path = path
        self._identity = identity
        self._lease = lease
        self._keep = keep
        self._kept: dict[_Name, Checkpoint] | None = None  # ascending by folder; None before load_latest
        self._folders: dict[_Name, str] = {}
        self._seen: dict[str, tuple[int, ...]] = {}  # how each part looked when it was found to be whole

    def load_latest(self, replay: Replay) -> dict[str, Any] | None:
        """Restore the newest whole checkpoint: once, before the first save.

        Args:
            replay: a new replay, which gets the content that it had.

        Returns:
            the state given to ``save``; None if there is no checkpoint.

        Raises:
            UserError: the newest whole checkpoint is of another run or another format version, all are damaged, or
                files cannot be read at the moment.
        """
        self._kept = {}
        self._folders = self._find()
        damages = []
        state = None
        for name in sorted(self._folders, reverse=True):
            folder = self.path / self._folders[name]
            try:
                checkpoint = read_manifest(folder, self._identity)
                if not self._kept:
                    state = self._load(folder, checkpoint, replay)
            except DamagedError as error:
                damages.append(str(error))
                _logger.warning("DAMAGED CHECKPOINT, not used: %s", error)
            else:
                self._kept = {name: checkpoint, **self._kept}
        if damages and not self._kept:
            raise UserError(
                f"no checkpoint in {self.path} is whole ({damages[0]}); delete the folder to start the run anew"
            )
        return state

    def save(self, epoch: int, state: dict[str, Any], replay: Replay | EarlierReplay) -> None:
        """Write a checkpoint, and then delete those that are too many.

        Args:
            epoch: how far training is, for people to read.
            state: a tree as ``save_tree`` takes it.
            replay: the replay; only rows that are new since the last checkpoint are written.

        Raises:
            UserError: the folder cannot be written, for example because the disk is full. All earlier checkpoints are
                as they were.
            OccupiedError: another process has the lease by now. Nothing of its own has changed.
        """
        if self._kept is None or self._lease is None:
            raise RuntimeError("saving needs a lease, and load_latest must be called before the first save")
        self._lease.check()
        name = _Name(self._lease.generation, 1 + max((found.number for found in self._find()), default=0))
        parts = self._whole_parts(replay)
        written = [self.path / f"checkpoint-{name}", self.path / f"replay-{name}.npz"]
        try:
            rows = replay.rows_since(parts[-1].next_row if parts else 0)
            if rows.next_row > rows.first_row:
                with atomic_file(written[1], self._lease) as file:
                    save_tree(file, rows.columns)
                parts.append(self._part(written[1], rows))
            checkpoint = self._write(written[0], epoch, {"state": state, "replay": replay.state_dict()}, parts)
        except BaseException:
            for path in written:
                self._delete(path)
            raise
        self._kept[name] = checkpoint
        self._folders[name] = written[0].name
        self._prune()

    def _write(self, path: Path, epoch: int, content: dict[str, Any], parts: list[Part]) -> Checkpoint:
        assert self._lease is not None
        with atomic_folder(path, self._lease) as folder:
            with durable_file(folder / _STATE) as file:
                save_tree(file, content)
            state = measure(folder / _STATE)
            checkpoint = Checkpoint(identity=self._identity, epoch=epoch, state=state, parts=tuple(parts))
            with durable_file(folder / MANIFEST) as file:
                file.write(manifest_text(checkpoint).encode())
        return checkpoint

    def _part(self, path: Path, rows: Rows) -> Part:
        part = Part(file=measure(path), first_row=rows.first_row, next_row=rows.next_row)
        self._seen[path.name] = _looks(path)
        return part

    def _whole_parts(self, replay: Replay | EarlierReplay) -> list[Part]:
        """Return the newest checkpoint's parts that are still needed, up to the first that is no longer whole."""
        assert self._kept is not None
        latest = next(reversed(self._kept.values()), None)
        parts: list[Part] = []
        for part in latest.parts if latest else ():
            path = self.path / part.file.name
            if part.next_row > replay.first_row:
                try:
                    if _looks(path) != self._seen.get(path.name):
                        check(path, part.file)
                except (DamagedError, FileNotFoundError) as error:
                    _logger.warning("DAMAGED FILE, its rows are written again: %s", error)
                    break
                parts.append(part)
        return parts

    def _load(self, folder: Path, checkpoint: Checkpoint, replay: Replay) -> dict[str, Any]:
        check(folder / _STATE, checkpoint.state)
        for part in checkpoint.parts:
            check(self.path / part.file.name, part.file)
            self._seen[part.file.name] = _looks(self.path / part.file.name)
        with understood(folder):
            content = read_tree(folder / _STATE)
            replay.load_state_dict(content["replay"], self._read_parts(checkpoint))
            state: dict[str, Any] = content["state"]
        return state

    def _read_parts(self, checkpoint: Checkpoint) -> Iterator[Rows]:
        for part in checkpoint.parts:
            rows = Rows(part.first_row, read_tree(self.path / part.file.name))
            if rows.next_row != part.next_row:
                raise ValueError(f"{part.file.name} ends at row {rows.next_row}, not {part.next_row}")
            yield rows

    def _prune(self) -> None:
        """Delete what no kept checkpoint needs: older ones, damaged ones, and what processes before this one left."""
        assert self._kept is not None
        assert self._lease is not None
        for name in list(self._kept)[: -self._keep]:
            del self._kept[name]
        needed = {self._folders[name] for name in self._kept}
        needed |= {part.file.name for checkpoint in self._kept.values() for part in checkpoint.parts}
        for path in list(self.path.iterdir()):
            ours = _OURS.fullmatch(path.name)
            if ours and path.name not in needed and int(ours["generation"] or 0) <= self._lease.generation:
                self._delete(path)

    def _delete(self, path: Path) -> None:
        """Delete a file, or a folder of files, as long as the lease holds."""
        assert self._lease is not None
        self._lease.check()
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                for inside in list(path.iterdir()):
                    self._delete(inside)
                self._lease.check()
                path.rmdir()
            else:
                path.unlink()

    def _find(self) -> dict[_Name, str]:
        """Return the folders of all checkpoints, by name."""
        try:
            found = [_CHECKPOINT.fullmatch(entry) for entry in os.listdir(self.path)]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise unreadable(self.path, error) from error
        return {_Name(int(name["generation"] or 0), int(name["number"])): name[0] for name in found if name}


def _looks(path: Path) -> tuple[int, ...]:
    """Return what changes when somebody writes a file."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
