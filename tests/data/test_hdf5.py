"""HDF5 files: what goes in comes out, plain h5py reads them, and no damage goes unnoticed."""

import h5py
import numpy as np
import pytest
from experience import provenance
from faults import disk_full_at_sync, files, flip_bit, largest_file

from m3.errors import UserError
from m3.files import hdf5
from m3.files.provenance import ATTRIBUTES

CONTENT = {
    "returns": np.array([1.5, np.nan, -np.inf]),
    "lengths": np.arange(3),
    "large": np.random.default_rng(0).normal(size=(100, 7)).astype(np.float32),
    "flags": np.array([[True], [False]]),
    "empty": np.zeros((0, 4), np.int16),
    "number": np.array(7),
    "names": ["Pong", "Übung", ""],
    "no_names": [],
    "task": "Breakout é",
    "seed": 3,
    "temperature": 0.5,
    "clipped": True,
    "missing": None,
    "epochs": {"loss": np.ones(4), "count": 4, "deep": {"text": "x" * 1000}},
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "results" / "scores.h5"
    hdf5.write(path, "m3.scores", CONTENT, provenance())
    return path


def test_what_was_written_is_read(path):
    content, attributes = hdf5.read(path, "m3.scores")
    np.testing.assert_equal(content, CONTENT)
    for name in ("returns", "lengths", "large", "flags", "empty", "number"):
        assert content[name].dtype == CONTENT[name].dtype
    assert {name: type(content[name]) for name in ("task", "seed", "temperature", "clipped")} == {
        "task": str,
        "seed": int,
        "temperature": float,
        "clipped": bool,
    }
    assert attributes == {"format": "m3.scores", "format_version": 1, **provenance().attributes()}


def test_plain_h5py_reads_it(path):
    with h5py.File(path, "r") as file:
        assert {"format", "format_version", *ATTRIBUTES} <= set(file.attrs)
        assert file.attrs["config"] == provenance().config
        assert file.attrs["seeds"].tolist() == [1, 2]
        assert "h5py==" + h5py.__version__ in list(file.attrs["packages"])
        assert file.attrs["task"] == "Breakout é"
        assert file["names"].asstr()[:].tolist() == CONTENT["names"]
        assert file["epochs/loss"][:].tolist() == [1.0] * 4
        assert file["large"].chunks
        assert file["large"].compression == "gzip"


def test_a_name_with_slashes_makes_groups(tmp_path):
    hdf5.write(tmp_path / "a.h5", "m3.metrics", {"epochs": {"world_model/loss": np.ones(2)}}, provenance())
    content, _ = hdf5.read(tmp_path / "a.h5", "m3.metrics")
    assert content["epochs"]["world_model"]["loss"].tolist() == [1.0, 1.0]


def test_equal_content_makes_equal_bytes(path, tmp_path):
    hdf5.write(tmp_path / "again.h5", "m3.scores", CONTENT, provenance())
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_describe_says_what_it_is(path):
    description = hdf5.describe(path)
    assert (description.format, description.version) == ("m3.scores", 1)
    assert description.attributes["config_hash"] == "0123abcd"
    assert description.scalars["epochs/count"] == 4
    assert description.datasets["large"] == "float32 (100, 7)"
    assert description.datasets["names"] == "string (3,)"


def test_every_truncation_is_found(path):
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 61), len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert_refused(path)


def test_every_flipped_bit_is_found(path):
    size = path.stat().st_size
    for position in [*range(0, 600, 7), *range(600, size, 23), size - 1]:
        flip_bit(path, position, position % 8)
        assert_refused(path)
        flip_bit(path, position, position % 8)
    hdf5.read(path, "m3.scores")


def test_added_bytes_are_found(path):
    with open(path, "ab") as file:
        file.write(b"\0")
    assert_refused(path)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "foreign"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "m3.scores"
    assert_refused(path, "not a file of M3's")
    for content in (b"", b"returns,lengths\n1,2\n", b"\x89PNG" * 1000):
        path.write_bytes(content)
        assert_refused(path, "not a file of M3's")
    assert_refused(tmp_path, "cannot be read: Is a directory")
    assert_refused(tmp_path / "missing.h5", "no such file")


def test_other_formats_and_versions_are_refused(path):
    with pytest.raises(UserError, match=r"scores\.h5: a file of format m3\.scores, where m3\.metrics is needed"):
        hdf5.read(path, "m3.metrics")
    with pytest.raises(UserError, match=r"version 1 of m3\.scores, written by m3 .*; this M3 reads version 2"):
        hdf5.read(path, "m3.scores", version=2)


def test_a_name_of_provenance_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'host' is taken"):
        hdf5.write(tmp_path / "a.h5", "m3.scores", {"host": "elsewhere"}, provenance())
    assert files(tmp_path) == {}


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", (1, 2), [object()], np.array([object()])])
def test_what_has_no_type_in_hdf5_is_refused(tmp_path, value):
    with pytest.raises(TypeError):
        hdf5.write(tmp_path / "a.h5", "m3.scores", {"value": value}, provenance())
    assert files(tmp_path) == {}


def test_a_full_disk_leaves_the_old_file(path):
    before = files(path.parent)
    for size in (0, 100, 513, 5000):
        with largest_file(size), pytest.raises(UserError, match=r"cannot write .*scores\.h5: File too large"):
            hdf5.write(path, "m3.scores", {"returns": np.random.default_rng(0).random(2000)}, provenance())
    with disk_full_at_sync(0), pytest.raises(UserError, match=r"No space left on device; free space"):
        hdf5.write(path, "m3.scores", {}, provenance())
    assert files(path.parent) == before


def test_an_error_while_filling_leaves_the_old_file(path):
    before = files(path.parent)
    with pytest.raises(ZeroDivisionError), hdf5.create(path, "m3.scores", provenance()) as file:
        hdf5.fill(file, {"returns": np.ones(1 // 0)})
    assert files(path.parent) == before


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/a\.h5: Not a directory|File exists"):
        hdf5.write(tmp_path / "file" / "a.h5", "m3.scores", {}, provenance())


def assert_refused(path, message=None):
    """Both ways to open a file end in one clear line."""
    for refuse in (lambda: hdf5.read(path, "m3.scores"), lambda: hdf5.describe(path)):
        with pytest.raises(UserError, match=message) as caught:
            refuse()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
