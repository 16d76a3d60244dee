"""Datasets in Minari's episode layout, read with plain h5py."""

import io

import h5py
import numpy as np
import pytest
from experience import SPEC, filled_replay, provenance
from faults import files, largest_file

from m3.environments.own_values import OwnObservations, OwnValues, ScaledActions, agents_values
from m3.errors import UserError
from m3.files import hdf5
from m3.runs import dataset
from m3.specs import ContinuousActions

OWN = agents_values(ContinuousActions(2), SPEC)


def test_episodes_have_minaris_layout(tmp_path):
    replay = filled_replay([3, 1, 5], open_steps=4)
    dataset.write_dataset(tmp_path / "dataset.h5", replay, OWN, provenance(), {"task": "toy", "frames_per_step": 4})
    with h5py.File(tmp_path / "dataset.h5") as file:
        assert (file.attrs["total_episodes"], file.attrs["total_steps"], file.attrs["task"]) == (3, 9, "toy")
        assert set(file) == {"spaces", "episode_0", "episode_1", "episode_2"}
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


def test_a_file_has_the_environments_own_values_and_says_so(tmp_path):
    low, high = {"token": np.array([-7, 100])}, {"token": np.array([192, 299])}
    actions = ScaledActions(np.array([[-2.0, 0.0]]), np.array([[2.0, 10.0]]), np.float32)
    own = OwnValues(actions, OwnObservations(SPEC, low, high, {"token": ["left: int64 ()", "right: int64 ()"]}))
    replay = filled_replay([3, 1])
    dataset.write_dataset(tmp_path / "dataset.h5", replay, own, provenance(), {})
    with h5py.File(tmp_path / "dataset.h5") as file:
        assert file.attrs["format_version"] == 2
        assert "the environment's own" in file.attrs["values"]
        stored, rows = file["episode_0"], replay.rows(0, 4)
        np.testing.assert_allclose(
            stored["actions"][()], ((rows.columns["actions"][:-1] + 1) * [2, 5] + [-2, 0])[:, None], rtol=1e-6
        )
        assert (stored["actions"].shape, stored["actions"].dtype) == ((3, 1, 2), np.float64)
        tokens = stored["observations/token"]
        np.testing.assert_array_equal(tokens[()], np.add(rows.observations["token"].astype(int), [-7, 100]))
        assert tokens.dtype == file["spaces/observations/token/low"].dtype == np.int16
        assert file["spaces/observations/token/high"][()].tolist() == [192, 299]
        assert file["spaces/observations/token_2d/high"][()].tolist() == [[6, 999]] * 4
        assert file["spaces/observations/token/parts"].asstr()[()].tolist() == ["left: int64 ()", "right: int64 ()"]
        assert not set(file["spaces/observations/image"])
        np.testing.assert_array_equal(file["spaces/actions/low"][()], actions.low)
        np.testing.assert_array_equal(file["spaces/actions/high"][()], actions.high)


def test_only_stored_episodes_are_written(tmp_path):
    replay = filled_replay([5] * 10, capacity_rows=20)
    dataset.write_dataset(tmp_path / "dataset.h5", replay, OWN, provenance(), {})
    content, _ = hdf5.read(tmp_path / "dataset.h5", "m3.dataset", 2)
    np.testing.assert_array_equal(
        content["episode_0"]["observations"]["vector"],
        replay.rows(replay.first_row, replay.first_row + 6).observations["vector"],
    )
    assert content["total_episodes"] == 3


class InMemory(io.BytesIO):
    """Takes what a draft takes, and keeps it."""

    def raise_failure(self):
        pass


def test_a_dataset_is_written_piece_by_piece_and_has_the_bytes_of_one_composed_in_memory(tmp_path, monkeypatch):
    replay, path = filled_replay([100] * 60), tmp_path / "dataset.h5"
    sizes, contents, fill = [], [], hdf5.fill

    def following(group, content):
        fill(group, content)
        if isinstance(group, h5py.File):
            sizes.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
            contents.append(content)

    with monkeypatch.context() as patch:
        patch.setattr(dataset.hdf5, "fill", following)
        dataset.write_dataset(path, replay, OWN, provenance(), {})
    whole = path.read_bytes()
    assert sizes[len(sizes) // 2] > len(whole) / 4
    memory = InMemory()
    with hdf5._NewFile(memory) as file:
        origin = {"format": "m3.dataset", "format_version": 2, **provenance().attributes()}
        for name, value in origin.items():
            hdf5._set_attribute(file, name, value)
        for content in contents:
            fill(file, content)
    assert memory.getvalue()[512:] == whole[512:]


def test_a_full_disk_ends_an_export_at_once(tmp_path, monkeypatch):
    replay = filled_replay([100] * 60)
    before, filled, fill = files(tmp_path), [], hdf5.fill
    monkeypatch.setattr(dataset.hdf5, "fill", lambda group, content: filled.append(group.name) or fill(group, content))
    with largest_file(100_000), pytest.raises(UserError, match=r"cannot write .*dataset\.h5: File too large"):
        dataset.write_dataset(tmp_path / "dataset.h5", replay, OWN, provenance(), {})
    assert filled.count("/") < 60
    assert files(tmp_path) == before
