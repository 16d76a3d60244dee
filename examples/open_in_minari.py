"""Open a run's dataset.h5 in Minari: python examples/open_in_minari.py RUN/dataset.h5.

Minari reads folders. The dataset becomes one, beside the file: dataset-minari/data. Actions have the
environment's own space. Observations are dictionaries of modalities.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import h5py
import minari
import numpy as np
from gymnasium import spaces
from minari.serialization import serialize_space


def action_space(low: np.ndarray, high: np.ndarray) -> spaces.Space[Any]:
    """The environment's own space, from its smallest and largest action."""
    if low.dtype.kind == "f":
        return spaces.Box(low, high, dtype=low.dtype.type)
    sizes = high.astype(np.int64) - low + 1
    if low.shape:
        return spaces.MultiDiscrete(sizes, dtype=low.dtype.type, start=low)
    return spaces.Discrete(int(sizes), start=int(low))


def observation_space(values: h5py.Dataset, bounds: h5py.Group) -> spaces.Box:
    """A space with the environment's own bounds of tokens; images and vectors have those of their type."""
    if "low" in bounds:
        return spaces.Box(bounds["low"][()], bounds["high"][()], dtype=values.dtype.type)
    low, high = (0, 255) if values.dtype == np.uint8 else (-np.inf, np.inf)
    return spaces.Box(low, high, values.shape[1:], values.dtype)


def open_in_minari(path: Path) -> minari.MinariDataset:
    """The dataset in a file of ``python -m m3 dataset``."""
    folder = path.with_name(f"{path.stem}-minari") / "data"
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(path) as file:
        bounds = file["spaces"]
        observations = {
            name: observation_space(values, bounds["observations"][name])
            for name, values in file["episode_0/observations"].items()
        }
        metadata = {
            "dataset_id": f"m3/{file.attrs['benchmark']}/{file.attrs['task'].lower()}-v{file.attrs['seed']}",
            "data_format": "hdf5",
            "jpeg_encoding": False,  # pictures are stored without loss
            "observation_space": serialize_space(spaces.Dict(observations)),
            "action_space": serialize_space(action_space(bounds["actions/low"][()], bounds["actions/high"][()])),
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
