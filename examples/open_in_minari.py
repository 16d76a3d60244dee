"""Open a run's dataset.h5 in Minari: python examples/open_in_minari.py RUN/dataset.h5.

Minari reads folders. The dataset becomes one, beside the file: dataset-minari/data. Observations are dictionaries.
"""

import json
import shutil
import sys
from pathlib import Path

import h5py
import minari
import numpy as np
from gymnasium import spaces
from minari.serialization import serialize_space


def box(values: h5py.Dataset) -> spaces.Box:
    """A space that holds every value of this shape and type."""
    bounds = np.iinfo(values.dtype) if values.dtype.kind in "iu" else None
    low, high = (bounds.min, bounds.max) if bounds else (-np.inf, np.inf)
    return spaces.Box(low, high, values.shape[1:], values.dtype)


def open_in_minari(path: Path) -> minari.MinariDataset:
    """The dataset in a file of ``python -m m3 dataset``."""
    folder = path.with_name(f"{path.stem}-minari") / "data"
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(path) as file:
        episode = file["episode_0"]
        observations = spaces.Dict({name: box(values) for name, values in episode["observations"].items()})
        metadata = {
            "dataset_id": f"m3/{file.attrs['benchmark']}/{file.attrs['task'].lower()}-v{file.attrs['seed']}",
            "data_format": "hdf5",
            "jpeg_encoding": False,  # pictures are stored without loss
            "observation_space": serialize_space(observations),
            "action_space": serialize_space(box(episode["actions"])),
            "total_episodes": int(file.attrs["total_episodes"]),
            "total_steps": int(file.attrs["total_steps"]),
            "minari_version": minari.__version__,
        }
    shutil.copyfile(path, folder / "main_data.hdf5")
    (folder / "metadata.json").write_text(json.dumps(metadata, indent=1))
    return minari.MinariDataset(folder)


if __name__ == "__main__":
    dataset = open_in_minari(Path(sys.argv[1]))
    returns = [float(episode.rewards.sum()) for episode in dataset.iterate_episodes()]
    print(f"{dataset.total_episodes} episodes, {dataset.total_steps} steps, mean return {np.mean(returns):g}")
