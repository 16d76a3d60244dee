"""What a run has experienced, as a file that offline-RL tools read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from m3.data.replay import Replay, Rows
from m3.environments.own_values import OwnObservations, OwnValues
from m3.files import hdf5
from m3.files.atomic import refuse_other_kinds
from m3.files.names import DATASET_FORMAT, DATASET_VERSION
from m3.files.provenance import Provenance
from m3.files.run_folder import identifying, provenance_of
from m3.runs.loading import newest_checkpoint

VALUES = (
    "actions and tokens are the environment's own; vectors are flattened to float32 and pictures are resized with "
    "channels first, as the agent saw them"
)
"""What a file says of its values."""


def export_dataset(run: Path, output: Path, own_code: Sequence[Path | str] = ()) -> int:
    """Write the finished episodes in the replay of a run's newest checkpoint; return their number.

    Raises:
        UserError: the run has no checkpoint, or the file's folder cannot be written.
    """
    refuse_other_kinds(output)
    settings, replay, _, frames_per_step, own = newest_checkpoint(run, own_code)
    scalars = {**identifying(settings), "frames_per_step": frames_per_step}
    return write_dataset(output, replay, own, provenance_of(settings), scalars)


def write_dataset(
    path: Path, replay: Replay, own: OwnValues, provenance: Provenance, scalars: Mapping[str, int | str]
) -> int:
    """Write all finished episodes that a replay still stores, in the episode layout of Minari; return their number.

    Episode i, oldest first, is the group ``episode_i`` with the attributes ``id`` and ``total_steps`` and, for T steps:

        observations/<modality>   (T + 1, ...); tokens as the environment counts them, in the smallest type that fits
        actions                   (T, ...), as the environment took them, of its shape and type
        rewards                   (T,) float32
        terminations, truncations (T,) bool; one of them is True at the last step

    The group ``spaces`` has the smallest and largest value of every entry:

        actions/low, high                    of an action's shape and type
        observations/<modality>/low, high    of the shape and type of tokens; absent for images and vectors
        observations/<modality>/parts        texts: place, type and shape of what was joined along the first axis

    Minari itself reads the file as ``data/main_data.hdf5`` of a dataset whose ``metadata.json`` names the spaces.

    Args:
        path: the file, replaced if it exists.
        replay: the source.
        own: how the environment's values differ from those in the replay.
        provenance: of the run.
        scalars: more attributes of the file, such as task and frames per step.

    Raises:
        UserError: the file's folder cannot be written.
    """
    episodes = replay.finished_episodes().tolist()
    total_steps = sum(end - first - 1 for first, end in episodes)
    with hdf5.create(path, DATASET_FORMAT, provenance, DATASET_VERSION) as file:
        hdf5.fill(file, {**scalars, "total_episodes": len(episodes), "total_steps": total_steps, "values": VALUES})
        hdf5.fill(file, {"spaces": _spaces(own)})
        for index, (first, end) in enumerate(episodes):
            hdf5.fill(file, {f"episode_{index}": _episode(index, replay.rows(first, end), own)})
    return len(episodes)


def _spaces(own: OwnValues) -> hdf5.Tree:
    return {
        "actions": {"low": own.actions.low, "high": own.actions.high},
        "observations": {name: _modality(name, own.observations) for name in own.observations.spec.modalities},
    }


def _modality(name: str, own: OwnObservations) -> hdf5.Tree:
    bounds = dict(zip(("low", "high"), own.bounds.get(name, ()), strict=False))
    return {**bounds, "parts": own.parts[name]} if name in own.parts else bounds


def _episode(index: int, rows: Rows, own: OwnValues) -> hdf5.Tree:
    """Return an episode's rows without what only the final row has: nothing was done on the last observation."""
    columns = rows.columns
    return {
        "id": index,
        "total_steps": len(columns["rewards"]) - 1,
        "observations": own.observations(rows.observations),
        "actions": own.actions(columns["actions"][:-1]),
        "rewards": columns["rewards"][:-1],
        "terminations": columns["terminated"][:-1],
        "truncations": columns["truncated"][:-1],
    }
