"""A run goes to a stand-in of the Hub from one folder, and comes back in another."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_in import TOKEN, Hub, hub
from toy_runs import toy_settings, train_in_folder

import m3
from m3.errors import UserError
from m3.files import hdf5
from m3.files.names import SCORES, SCORES_FORMAT, WEIGHTS
from m3.hub.card import mean_with_interval
from m3.hub.places import Place, parse

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub() as running:
        yield running


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = train_in_folder(tmp_path_factory.mktemp("first clone") / "run", toy_settings("vector"))
    m3.evaluate(folder, 6)
    return folder


class Clone:
    """A folder in which commands are called, with a cache of its own."""

    def __init__(self, folder: Path, server: Hub, token: str = TOKEN) -> None:
        self.folder = folder
        folder.mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            **{"PYTHONPATH": str(ROOT), "HF_ENDPOINT": server.url, "HF_HOME": str(folder / "cache"), "HF_TOKEN": token},
            "HF_HUB_DISABLE_XET": "1",  # uploads as the stand-in takes them
        }

    def python(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def m3(self, *words: str | Path) -> str:
        done = self.python("-m", "m3", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refusal(self, *words: str | Path) -> str:
        done = self.python("-m", "m3", *words)
        assert done.returncode == 2
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        return line


LOAD = """\
import m3, sys
agent = m3.load(sys.argv[1])
environment = agent.make_environment()
observation = environment.reset(seed=7)
agent.reset(seed=7)
print(agent.act(observation).tolist())
"""


def test_a_run_that_was_pushed_is_loaded_watched_and_evaluated_elsewhere(
    run: Path, server: Hub, tmp_path: Path
) -> None:
    first, second = Clone(tmp_path / "one", server), Clone(tmp_path / "two", server)
    assert "the run is at http" in first.m3("push", run, "hf://owner/agents/vector/seed-0", "--license", "cc-by-4.0")
    files = server.repositories["owner/agents"]["main"]
    card = files["vector/seed-0/README.md"].decode()
    mean, low, high = mean_with_interval(hdf5.read(run / SCORES, SCORES_FORMAT)[0]["returns"])
    for words in (
        "license: cc-by-4.0",
        f"Mean return **{mean:.4g}**, 95% interval [{low:.4g}, {high:.4g}]",
        'm3.load("hf://owner/agents/vector/seed-0")',
        "m3 pull hf://owner/agents/vector/seed-0 RUN",
        "variant: tiny",
        "![Returns of the evaluations during training](curve.png)",
    ):
        assert words in card
    assert files["vector/seed-0/curve.png"].startswith(b"\x89PNG")

    (second.folder / "load.py").write_text(LOAD)
    address = "hf://owner/agents/vector/seed-0/weights.safetensors"
    loaded = [clone.python("-c", LOAD, place) for clone, place in ((first, str(run)), (second, address))]
    assert loaded[0].stdout == loaded[1].stdout != ""

    assert WEIGHTS in second.m3("pull", "hf://owner/agents/vector/seed-0", "copy")
    copy = second.folder / "copy"
    for name in (WEIGHTS, SCORES, "metrics.h5"):
        assert (copy / name).read_bytes() == (run / name).read_bytes()
    second.m3("evaluate", "--run", "copy", "--episodes", "6", "--output", "again.h5")
    before, after = (hdf5.read(path, SCORES_FORMAT)[0] for path in (run / SCORES, second.folder / "again.h5"))
    np.testing.assert_array_equal(before["returns"], after["returns"])
    second.m3("watch", "copy", "--output", "play.mp4", "--steps", "3")
    assert (second.folder / "play.mp4").stat().st_size > 0


def test_what_is_in_the_cache_needs_no_hub_and_is_checked(run: Path, server: Hub, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", server)
    commit = server.commit("owner/agent", {WEIGHTS: (run / WEIGHTS).read_bytes()})
    address = f"hf://owner/agent@{commit}"
    expected = clone.python("-c", LOAD, address)
    assert expected.returncode == 0, expected.stderr
    clone.environment["HF_HUB_OFFLINE"] = "1"
    assert clone.python("-c", LOAD, address).stdout == expected.stdout
    (blob,) = [path for path in clone.folder.glob("cache/hub/*/blobs/*") if path.stat().st_size > 1000]
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    damage = f"its copy in the cache is damaged; delete {blob.resolve()} and try again"
    assert clone.refusal("pull", address, "copy").endswith(damage)
    assert damage in clone.python("-c", LOAD, address).stderr.splitlines()[-1]


def test_a_revision_is_that_of_the_address(server: Hub, run: Path, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", server)
    old = server.commit("owner/agent", {WEIGHTS: (run / WEIGHTS).read_bytes()})
    server.commit("owner/agent", {WEIGHTS: b"of a later version"})
    clone.m3("pull", f"hf://owner/agent@{old}", "copy")
    assert "is damaged, or no safetensors" in clone.refusal("pull", "hf://owner/agent", "other")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("pull", "hf://owner/nothing", "copy"), "hf://owner/nothing/weights.safetensors: there is no such repository"),
        (("pull", "hf://owner/agent@v9", "copy"), "hf://owner/agent@v9/weights.safetensors: there is no revision 'v9'"),
        (("pull", "hf://owner/agent/no", "copy"), "there is no file 'no/weights.safetensors'"),
        (("pull", "hf://owner", "copy"), "an address on the Hub is hf://OWNER/NAME[@REVISION][/PATH]"),
        (("pull", "hf://owner/agent/agent.pt", "copy"), "an agent is a file of safetensors"),
        (("push", "no-run", "hf://owner/new"), "does not exist; train the run first"),
    ],
)
def test_mistakes_are_one_line(server: Hub, tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    server.commit("owner/agent", {"agent.pt": b"pickled"})
    assert expected in Clone(tmp_path / "clone", server).refusal(*words)


def test_nobody_pushes_without_leave(server: Hub, run: Path, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", server, token="hf_of_somebody_else")
    assert "hf://owner/agent: " in clone.refusal("push", run, "hf://owner/agent")
    assert "owner/agent" not in server.repositories


def test_published_checkpoints_are_imported_from_the_hub(server: Hub, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", server)
    torch.save({"nothing": torch.zeros(1)}, tmp_path / "agent.pt")
    server.commit("owner/agent", {"agent.pt": (tmp_path / "agent.pt").read_bytes()})
    where = ("--benchmark", "toy", "--task", "image", "--variant", "m3", "--run", "run")
    error = clone.refusal("import-weights", "hf://owner/agent/agent.pt", *where)
    assert "has no weights under the names of M3" in error


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("hf://o/n", Place("o/n", "", "main")),
        ("hf://o/n/", Place("o/n", "", "main")),
        ("hf://o/n@v1.0/a/b.safetensors", Place("o/n", "a/b.safetensors", "v1.0")),
    ],
)
def test_addresses(address: str, place: Place) -> None:
    assert parse(address) == place
    assert parse(str(place)) == place


@pytest.mark.parametrize(
    "address", ["hf://", "hf://o", "hf://o/n/../x", "hf://o//n", "hf://o/n//x", "hf:/o/n", "hf://o/n@/x"]
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UserError, match="an address on the Hub is"):
        parse(address)
