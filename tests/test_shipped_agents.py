"""The agents in agents/: what their cards say is true, and the commands work with them (made by `make agents`)."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import m3
from m3.cli import main
from m3.config.experiment import Run
from m3.config.plan import load_experiment
from m3.config.schema import TRAINING_VERSION
from m3.files.contents import read_metrics, read_scores
from m3.files.names import METRICS, SCORES
from m3.files.run_folder import read_settings
from m3.hub.card import Card

ROOT = Path(__file__).parents[1]
AGENTS = {"agents/lava-gap": "cpu_study", "agents/swing-up": "cpu_attention"}
"""Folder -> the experiment whose first seed it is."""
MOST_BYTES = 3_500_000
"""Of both together; every clone has them."""


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for name in AGENTS for path in Path(name).iterdir() if path.is_file()) < MOST_BYTES


@pytest.mark.parametrize("name", AGENTS)
def test_they_are_the_first_seeds_of_the_experiment_as_it_is_now(name: str) -> None:
    settings = read_settings(Path(name))
    run = Run(settings.benchmark, "m3", settings.task, 0)
    assert load_experiment(Path("config", f"{AGENTS[name]}.yaml")).runs[run] == settings
    assert settings.training_version == TRAINING_VERSION
    assert f":= {Path('results/runs', run.folder)}\n" in Path("Makefile").read_text()


@pytest.mark.parametrize("name", AGENTS)
def test_their_cards_and_their_page_tell_the_scores(name: str) -> None:
    folder = Path(name)
    (scores, origin), (metrics, _) = read_scores(folder / SCORES), read_metrics(folder / METRICS)
    card = Card(name, read_settings(folder), scores, metrics, origin, "mit").text()
    assert (folder / "README.md").read_text() == card
    told = re.search(r"Mean return \*\*(\S+)\*\*, 95% interval \[(\S+), (\S+)\]", card)
    assert told is not None
    mean, low, high = (
        f"{float(number):.3g}" if float(number) > 1 else f"{float(number):.2f}" for number in told.groups()
    )
    assert f"| {mean} [{low}, {high}] |" in Path("agents/README.md").read_text()
    assert f"training version {TRAINING_VERSION}" in card


@pytest.mark.parametrize("name", AGENTS)
def test_they_are_watched_and_diagnosed(name: str, tmp_path: Path) -> None:
    assert main(["watch", name, "--dream", "--steps", "3", "--output", str(tmp_path / "dream.gif")]) == 0
    with Image.open(tmp_path / "dream.gif") as picture:
        assert picture.n_frames == 3
    extent = ["--episodes", "1", "--steps", "12", "--dreams", "2"]
    assert main(["diagnose", "--run", name, *extent, "--output", str(tmp_path / "diagnosis.h5")]) == 0


def test_the_lava_gap_agent_plays_as_well_as_its_card_says(tmp_path: Path) -> None:
    before = read_scores(Path("agents/lava-gap", SCORES))[0]["returns"]
    again = m3.evaluate("agents/lava-gap", 50, output=tmp_path / SCORES).returns
    assert again.mean() == pytest.approx(before.mean(), abs=0.25)  # another processor rounds otherwise


def test_the_lava_gap_agent_draws_what_it_sees() -> None:
    agent = m3.load("agents/lava-gap")
    environment = agent.make_environment()
    observation = environment.reset(seed=0)
    picture, scene = environment.draw(observation), environment.render()
    assert picture is not None
    side = scene.shape[0] // 5
    np.testing.assert_array_equal(picture, scene[side:-side, side:-side])  # without the walls
    anything = {"token_2d": np.tile(np.array([[10, 5, 3], [4, 2, 1], [0, 0, 0]], np.uint8), (3, 1))}
    assert environment.draw(anything).shape == picture.shape
