"""Datasets in Minari's episode layout, read with plain h5py."""

import h5py
import numpy as np
from experience import filled_replay, provenance

from m3.files import hdf5
from m3.runs import dataset


def test_episodes_have_minaris_layout(tmp_path):
    replay = filled_replay([3, 1, 5], open_steps=4)
    dataset.write_dataset(tmp_path / "dataset.h5", replay, provenance(), {"task": "toy", "frames_per_step": 4})
    with h5py.File(tmp_path / "dataset.h5") as file:
        assert (file.attrs["total_episodes"], file.attrs["total_steps"], file.attrs["task"]) == (3, 9, "toy")
        assert set(file) == {"episode_0", "episode_1", "episode_2"}
        for index, (first, steps) in enumerate([(0, 3), (4, 1), (6, 5)]):
            episode, rows = file[f"episode_{index}"], replay.rows(first, first + steps + 1)
            assert (episode.attrs["id"], episode.attrs["total_steps"]) == (index, steps)
            assert set(episode) == {"observations", "actions", "rewards", "terminations", "truncations"}
            for name in ("image", "vector", "token", "token_2d"):
                np.testing.assert_array_equal(episode["observations"][name][()], rows.observations[name])
                assert len(episode["observations"][name]) == steps + 1
            np.testing.assert_array_equal(episode["actions"][()], rows.columns["actions"][:-1])
            np.testing.assert_array_equal(episode["rewards"][()], rows.columns["rewards"][:-1])
            assert episode["terminations"][()].tolist() == [False] * (steps - 1) + [index == 0]
            assert episode["truncations"][()].tolist() == [False] * (steps - 1) + [index != 0]


def test_only_stored_episodes_are_written(tmp_path):
    replay = filled_replay([5] * 10, capacity_rows=20)
    dataset.write_dataset(tmp_path / "dataset.h5", replay, provenance(), {})
    content, _ = hdf5.read(tmp_path / "dataset.h5", "m3.dataset")
    np.testing.assert_array_equal(
        content["episode_0"]["observations"]["vector"],
        replay.rows(replay.first_row, replay.first_row + 6).observations["vector"],
    )
    assert content["total_episodes"] == 3
