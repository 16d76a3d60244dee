"""All real experience of one run, in memory, in the order in which it happened."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from m3.data.episodes import EpisodeTable
from m3.errors import UserError
from m3.specs import ActionSpec, Modality, ModalitySpec, Observation, ObservationSpec

_INITIAL_ROWS = 1024
OBSERVATION = "observations/"
"""Before the names of the columns that hold observations, each of one modality."""


@dataclass(frozen=True)
class Batch:
    """B windows of T steps. Steps before the first or after the last row of an episode are zeros with mask False.

    The last row of a finished episode holds its final observation: nothing was done there, so action and reward are 0.
    """

    ids: np.ndarray
    """(B,) int64: what to hand back to the sampler."""
    rows: np.ndarray
    """(B, T) int64: numbers of the steps' rows; where mask is False, of no row of the episode."""
    observations: dict[str, np.ndarray]
    """Modality -> (B, T, ...): image uint8, vector float32, tokens in the smallest integer type that fits."""
    actions: np.ndarray
    """(B, T, A), the action taken on the step's observation; int64 or float32 as the action space says."""
    rewards: np.ndarray
    """(B, T) float32, for the step's action."""
    terminated: np.ndarray
    """(B, T) bool: the step's action ended the episode. False where an episode was truncated."""
    mask: np.ndarray
    """(B, T) bool: the step exists."""


@dataclass(frozen=True)
class Rows:
    """A run of consecutive rows, by column. Rows never change once they are stored."""

    first_row: int
    columns: dict[str, np.ndarray]

    @property
    def observations(self) -> dict[str, np.ndarray]:
        """Modality -> (rows, ...)."""
        return {
            name.removeprefix(OBSERVATION): values
            for name, values in self.columns.items()
            if name.startswith(OBSERVATION)
        }

    @property
    def next_row(self) -> int:
        """The row after the last."""
        return self.first_row + len(self.columns["rewards"])


class Replay:
    """A ring of rows, numbered in the order of their arrival; when it is full, the oldest episodes are dropped.

    A row is one step: observation, action, reward and how the episode went on. After the last step of an episode comes
    one row more, with the final observation. A window is identified by the number of its first row. It is valid
    if its episode has at least context_length + 1 rows from there on; windows of the episode in progress count.

    Args:
        observation_spec: what an observation consists of.
        action_spec: what an action looks like.
        context_length: steps of context of a window.
        capacity_bytes: upper limit of the memory that the rows take. Memory is taken as experience arrives, in steps
            that double it, each of which needs half as much again for a moment.

    Raises:
        UserError: the capacity does not hold a single window.
    """

    def __init__(
        self, observation_spec: ObservationSpec, action_spec: ActionSpec, context_length: int, capacity_bytes: int
    ) -> None:
        self._modalities = observation_spec.modalities
        self._context_length = context_length
        self._columns = _empty_columns(observation_spec, action_spec)
        self._capacity = capacity_bytes // self.row_bytes
        if self._capacity < context_length + 2:
            raise UserError(f"a replay of {capacity_bytes} bytes does not hold one window; raise its capacity")
        self._episodes = EpisodeTable(context_length)
        self._in_episode = False
        self.first_row = 0
        """The oldest row that is stored."""
        self.next_row = 0
        """The number that the next row will get."""
        self._resize(min(_INITIAL_ROWS, self._capacity))

    @property
    def row_bytes(self) -> int:
        """Memory that a row takes."""
        return sum(column.dtype.itemsize * int(np.prod(column.shape[1:])) for column in self._columns.values())

    @property
    def capacity_rows(self) -> int:
        """Rows that can be stored at most."""
        return self._capacity

    @property
    def num_rows(self) -> int:
        """Number of stored rows."""
        return self.next_row - self.first_row

    @property
    def num_windows(self) -> int:
        """Number of valid windows. A sampler can draw a batch of at most as many."""
        return self.next_window - self.first_window

    @property
    def first_window(self) -> int:
        """Running number of the oldest valid window; windows are numbered in the order in which they became valid."""
        return self._episodes.first_window

    @property
    def next_window(self) -> int:
        """Running number that the next window to become valid will get."""
        return self._episodes.next_window

    @property
    def num_slots(self) -> int:
        """Rows that fit into the memory taken so far. Row r lies in slot r % num_slots."""
        return len(self._columns["rewards"])

    def add(
        self,
        observation: Observation,
        action: np.ndarray,
        reward: float,
        terminated: bool,
        truncated: bool,
        next_observation: Observation,
    ) -> None:
        """Store one step.

        Args:
            observation: what the action was chosen on.
            action: what was executed, (A,).
            reward: what it brought.
            terminated: it ended the episode.
            truncated: the episode was cut off after it.
            next_observation: what followed; stored here only if the episode ended, else by the next call.

        Raises:
            UserError: the episode in progress alone is larger than the capacity.
            ValueError: an observation does not fit the specification.
        """
        if not self._in_episode:
            self._episodes.begin(self.next_row)
        self._in_episode = not (terminated or truncated)
        self._append(observation, action, reward, terminated, truncated, final=False)
        if not self._in_episode:
            self._append(next_observation, np.zeros_like(action), 0.0, False, False, final=True)

    def window_ids(self, windows: np.ndarray) -> np.ndarray:
        """Return ids of windows given by their running numbers, which must be in [first_window, next_window)."""
        return self._episodes.window_starts(windows)

    def gather(self, ids: np.ndarray, before: int, length: int, modalities: Iterable[str] | None = None) -> Batch:
        """Gather the steps from ``before`` steps before the windows' first rows to ``length`` steps from there.

        Args:
            ids: (B,) int64, ids of stored windows.
            before: steps in front of the windows, such as the burn-in of a recurrent network.
            length: steps from the windows' first rows on.
            modalities: those whose observations are wanted; none: all.

        Returns:
            B windows of T = before + length steps.

        Raises:
            ValueError: an id is not of a stored row.
        """
        rows, mask = self.window_rows(ids, before, length)
        wanted = list(self._modalities if modalities is None else modalities)
        names = [*(OBSERVATION + name for name in wanted), "actions", "rewards", "terminated"]
        columns = self._take(rows, names)
        if not mask.all():
            for values in columns.values():
                values[~mask] = 0
        observations = {name: columns[OBSERVATION + name] for name in wanted}
        return Batch(
            np.asarray(ids, np.int64),
            rows,
            observations,
            columns["actions"],
            columns["rewards"],
            columns["terminated"],
            mask,
        )

    def window_rows(self, ids: np.ndarray, before: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of windows as ``gather`` does, int64 (B, T), and which of them exist.

        Raises:
            ValueError: an id is not of a stored row.
        """
        ids = np.asarray(ids, dtype=np.int64)
        if ids.size and not self.first_row <= ids.min() <= ids.max() < self.next_row:
            raise ValueError("an id is not, or no longer, in the replay")
        first, end = self._episodes.bounds_of(ids)
        rows = ids[:, None] + np.arange(-before, length)
        return rows, (rows >= first[:, None]) & (rows < end[:, None])

    def sample_rows(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``count`` different rows uniformly, for training on single observations. (count,) int64."""
        return rng.choice(self.num_rows, count, replace=False) + self.first_row

    def observations_at(self, rows: np.ndarray, modalities: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Return the observations of stored rows: modality -> rows' shape + (...). None: all modalities."""
        wanted = self._modalities if modalities is None else modalities
        columns = self._take(rows, [OBSERVATION + name for name in wanted])
        return {name.removeprefix(OBSERVATION): values for name, values in columns.items()}

    def finished_episodes(self) -> np.ndarray:
        """Return first row and row after the final one of all stored episodes that have ended: (episodes, 2) int64."""
        bounds = self._episodes.bounds
        return bounds[:-1] if self._in_episode else bounds

    def rows(self, start: int, stop: int) -> Rows:
        """Copy the rows from ``start`` to before ``stop``, which must be stored."""
        return Rows(start, self._take(np.arange(start, stop), list(self._columns)))

    def rows_since(self, row: int) -> Rows:
        """Copy the stored rows from ``row`` on: what a checkpoint lacks that was made when ``next_row`` was ``row``."""
        return self.rows(max(row, self.first_row), self.next_row)

    def state_dict(self) -> dict[str, Any]:
        """Return all but the rows themselves."""
        return {
            "first_row": self.first_row,
            "next_row": self.next_row,
            "in_episode": self._in_episode,
            "episodes": self._episodes.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], parts: Iterable[Rows]) -> None:
        """Continue exactly as the replay did of which this is the state.

        Args:
            state: from ``state_dict``.
            parts: rows that together hold all stored ones, in order. Older ones are ignored.

        Raises:
            UserError: the rows are of other observations or actions, or some are missing.
        """
        self.first_row, self.next_row = state["first_row"], state["next_row"]
        self._in_episode = state["in_episode"]
        self._episodes.load_state_dict(state["episodes"])
        self._resize(self._slots_needed())
        restored = self.first_row
        for part in parts:
            if part.first_row <= restored < part.next_row:
                self._store(part, restored)
                restored = part.next_row
        if restored != self.next_row:
            raise UserError(f"the replay's rows {restored} to {self.next_row} are missing from the checkpoint")

    def _append(
        self,
        observation: Observation,
        action: np.ndarray,
        reward: float,
        terminated: bool,
        truncated: bool,
        final: bool,
    ) -> None:
        self._make_room()
        slot = self.next_row % self.num_slots
        for name, spec in self._modalities.items():
            _check(name, spec, observation[name])
            self._columns[OBSERVATION + name][slot] = observation[name]
        self._columns["actions"][slot] = action
        self._columns["rewards"][slot] = reward
        self._columns["terminated"][slot] = terminated
        self._columns["truncated"][slot] = truncated
        self._columns["final"][slot] = final
        self.next_row += 1
        self._episodes.extend()

    def _make_room(self) -> None:
        if self.num_rows < self.num_slots:
            return
        if self.num_slots < self._capacity:
            self._resize(min(2 * self.num_slots, self._capacity))
            return
        if len(self._episodes) == 1:
            raise UserError(
                f"the replay's {self._capacity} rows do not hold the episode in progress; raise its capacity"
            )
        self._episodes.drop_oldest()
        self.first_row = int(self._episodes.bounds[0, 0])

    def _slots_needed(self) -> int:
        """Return how many slots a replay has that got its rows one by one."""
        slots = _INITIAL_ROWS
        while slots < self.next_row:
            slots *= 2
        return min(slots, self._capacity)

    def _resize(self, slots: int) -> None:
        """Change the number of slots. Rows stay where they are: the ring has not yet turned when it grows."""
        for name, old in self._columns.items():
            new = np.zeros((slots, *old.shape[1:]), old.dtype)  # the system gives memory only for what is written
            kept = min(len(old), slots)
            new[:kept] = old[:kept]
            self._columns[name] = new

    def _take(self, rows: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
        slots = rows % self.num_slots
        return {name: self._columns[name].take(slots, axis=0) for name in names}

    def _store(self, part: Rows, start: int) -> None:
        """Put a part's rows from ``start`` on into their slots."""
        slots = np.arange(start, part.next_row) % self.num_slots
        for name, column in self._columns.items():
            values = part.columns.get(name)
            if values is None or values.dtype != column.dtype or values.shape[1:] != column.shape[1:]:
                raise UserError(f"the checkpoint's replay does not fit this environment: {name!r} differs")
            column[slots] = values[start - part.first_row :]


def _empty_columns(observations: ObservationSpec, actions: ActionSpec) -> dict[str, np.ndarray]:
    """Make columns of no rows, with the shape and data type of one row of each."""
    columns = {
        OBSERVATION + name: np.zeros((0, *spec.shape), _storage_dtype(name, spec))
        for name, spec in observations.modalities.items()
    }
    columns["actions"] = np.zeros((0, *actions.shape), actions.dtype)
    columns["rewards"] = np.zeros(0, np.float32)
    columns.update({name: np.zeros(0, bool) for name in ("terminated", "truncated", "final")})
    return columns


def _storage_dtype(name: str, spec: ModalitySpec) -> np.dtype:
    if name == Modality.IMAGE:
        return np.dtype(np.uint8)
    if name == Modality.VECTOR:
        return np.dtype(np.float32)
    # uint8 and the signed types are those that torch supports in full
    candidates = (np.uint8, np.int16, np.int32, np.int64)
    return next(np.dtype(kind) for kind in candidates if max(spec.vocabularies) - 1 <= np.iinfo(kind).max)


def _check(name: str, spec: ModalitySpec, value: np.ndarray) -> None:
    if value.shape != spec.shape:
        raise ValueError(f"observation {name!r} has shape {value.shape}, specified is {spec.shape}")
    if spec.vocabularies and not (value.min() >= 0 and np.all(value < np.array(spec.vocabularies))):
        raise ValueError(f"observation {name!r} has a token outside its vocabulary")
