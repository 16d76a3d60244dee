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
from m3.cli import main
from m3.config.schema import TRAINING_VERSION
from m3.errors import UserError
from m3.files import hdf5
from m3.files.names import SCORES, SCORES_FORMAT, WEIGHTS
from m3.hub.card import means_with_intervals
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


@pytest.mark.slow
def test_a_run_that_was_pushed_is_loaded_watched_and_evaluated_elsewhere(
    run: Path, server: Hub, tmp_path: Path
) -> None:
    first, second = Clone(tmp_path / "one", server), Clone(tmp_path / "two", server)
    assert "the run is at http" in first.m3("push", run, "hf://owner/agents/vector/seed-0", "--license", "cc-by-4.0")
    files = server.repositories["owner/agents"]["main"]
    card = files["vector/seed-0/README.md"].decode()
    mean, low, high = (part[0] for part in means_with_intervals(returns_in(run / SCORES)[None]))
    for words in (
        "license: cc-by-4.0",
        f"Mean return **{mean:.4g}**, 95% interval [{low:.4g}, {high:.4g}]",
        'm3.load("hf://owner/agents/vector/seed-0")',
        "m3 watch hf://owner/agents/vector/seed-0 --dream",
        f"seed 0 and training version {TRAINING_VERSION}",
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
    np.testing.assert_array_equal(returns_in(run / SCORES), returns_in(second.folder / "again.h5"))


def returns_in(scores: Path) -> np.ndarray:
    returns: np.ndarray = hdf5.read(scores, SCORES_FORMAT)[0]["returns"]
    return returns


def test_an_agent_on_the_hub_is_watched_evaluated_and_diagnosed_without_a_copy(
    run: Path, server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = server.commit("owner/agents", {f"vector/{WEIGHTS}": (run / WEIGHTS).read_bytes()})
    address = f"hf://owner/agents@{commit}/vector"
    template = "{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", f"{server.url}/{template}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DISPLAY", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert main(["evaluate", address, "--episodes", "6"]) == 0
    np.testing.assert_array_equal(returns_in(here / SCORES), returns_in(run / SCORES))
    assert f"m3 watch {address} --dream" in capsys.readouterr().out
    assert main(["watch", address, "--dream", "--steps", "3"]) == 0
    assert main(["diagnose", "--run", address, "--episodes", "1", "--steps", "20", "--dreams", "2"]) == 0
    assert {str(path.relative_to(here)) for path in here.rglob("*.*")} == {SCORES, "media/dream.mp4", "diagnosis.h5"}
    for words in (["watch", address, "--replay"], ["resume", address]):
        assert main(words) == 2
        assert address in capsys.readouterr().err


def test_a_run_is_pushed_into_a_folder_too(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "agents/vector"
    assert main(["push", str(run), str(folder)]) == 0
    assert capsys.readouterr().out == f"the run is at {folder}\n"
    card = (folder / "README.md").read_text()
    assert f'm3.load("{folder}")' in card
    assert '- name: "vector"' in card
    assert f"m3 watch {folder} --dream" in card
    assert m3.load(folder).agent_steps == m3.load(run).agent_steps
    other = train_in_folder(tmp_path / "other", toy_settings("vector", seed=1, epochs=1))
    m3.evaluate(other, 1)
    assert main(["push", str(other), str(folder)]) == 2
    assert "use another folder" in capsys.readouterr().err


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
