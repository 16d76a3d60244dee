"""What a run has experienced, as a file that offline-RL tools read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from m3.data.replay import Replay, Rows
from m3.files import hdf5
from m3.files.atomic import refuse_other_kinds
from m3.files.names import DATASET_FORMAT
from m3.files.provenance import Provenance
from m3.files.run_folder import identifying, provenance_of
from m3.runs.loading import newest_checkpoint


def export_dataset(run: Path, output: Path, own_code: Sequence[Path | str] = ()) -> int:
    """Write the finished episodes in the replay of a run's newest checkpoint; return their number.

    Raises:
        UserError: the run has no checkpoint, or the file's folder cannot be written.
    """
    refuse_other_kinds(output)
    settings, replay, _, frames_per_step = newest_checkpoint(run, own_code)
    scalars = {**identifying(settings), "frames_per_step": frames_per_step}
    return write_dataset(output, replay, provenance_of(settings), scalars)


def write_dataset(path: Path, replay: Replay, provenance: Provenance, scalars: Mapping[str, int | str]) -> int:
    """Write all finished episodes that a replay still stores, in the episode layout of Minari; return their number.

    Episode i, oldest first, is the group ``episode_i`` with the attributes ``id`` and ``total_steps`` and, for T steps:

        observations/<modality>   (T + 1, ...); tokens in the smallest integer type that fits
        actions                   (T, A) int64 or float32
        rewards                   (T,) float32
        terminations, truncations (T,) bool; one of them is True at the last step

    Minari itself reads the file as ``data/main_data.hdf5`` of a dataset whose ``metadata.json`` names the spaces.

    Args:
        path: the file, replaced if it exists.
        replay: the source.
        provenance: of the run.
        scalars: more attributes of the file, such as task and frames per step.

    Raises:
        UserError: the file's folder cannot be written.
    """
    episodes = replay.finished_episodes().tolist()
    total_steps = sum(end - first - 1 for first, end in episodes)
    with hdf5.create(path, DATASET_FORMAT, provenance) as file:
        hdf5.fill(file, {**scalars, "total_episodes": len(episodes), "total_steps": total_steps})
        for index, (first, end) in enumerate(episodes):
            hdf5.fill(file, {f"episode_{index}": _episode(index, replay.rows(first, end))})
    return len(episodes)


def _episode(index: int, rows: Rows) -> hdf5.Tree:
    """Return an episode's rows without what only the final row has: nothing was done on the last observation."""
    columns = rows.columns
    return {
        "id": index,
        "total_steps": len(columns["rewards"]) - 1,
        "observations": rows.observations,
        "actions": columns["actions"][:-1],
        "rewards": columns["rewards"][:-1],
        "terminations": columns["terminated"][:-1],
        "truncations": columns["truncated"][:-1],
    }
