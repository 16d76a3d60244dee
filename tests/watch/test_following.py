"""What a run leaves to look at while it trains."""

import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_runs import toy_settings, train_in_folder

from m3.cli import main
from m3.config.experiment import Tracking
from m3.errors import UserError
from m3.files import hdf5
from m3.runs.tracking import make_tracker
from m3.runs.weights import load_weights
from m3.watch.following import following


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "followed"
    settings = toy_settings("all_modalities")
    with following(folder, settings, Tracking(tool="tensorboard"), with_media=True) as after_epoch:
        return train_in_folder(folder, settings, after_epoch)


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"histograms": 0, "scalars": 0})
    events.Reload()
    return events


def flatten(tree: dict, prefix: str = "") -> dict[str, np.ndarray]:
    flat = {}
    for name, value in tree.items():
        flat |= flatten(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def test_following_changes_nothing(followed: Path, run: Path) -> None:
    one, other = load_weights(followed / "weights.safetensors"), load_weights(run / "weights.safetensors")
    assert one.settings == other.settings
    for name, tensor in one.state.items():
        assert tensor.equal(other.state[name]), name


def test_tensorboard_shows_what_metrics_hold(followed: Path) -> None:
    content, _ = hdf5.read(followed / "metrics.h5", "m3.metrics")
    events = read(followed)
    metrics = flatten(content["epochs"])
    assert "world_model/loss" in metrics
    for name, column in metrics.items():
        if name == "epoch":
            continue
        shown = events.Scalars(name if "/" in name else f"progress/{name}")
        measured = ~np.isnan(column)
        assert [event.step for event in shown] == content["epochs"]["epoch"][measured].tolist()
        np.testing.assert_allclose([event.value for event in shown], column[measured], rtol=1e-6)


def test_training_episodes_are_shown_in_their_epoch(followed: Path) -> None:
    content, _ = hdf5.read(followed / "metrics.h5", "m3.metrics")
    episodes = content["episodes"]
    expected = [
        episodes["return"][(episodes["agent_steps"] > steps - 20) & (episodes["agent_steps"] <= steps)].mean()
        for steps in content["epochs"]["agent_steps"]
    ]
    shown = [event.value for event in read(followed).Scalars("collect/episode_return")]
    np.testing.assert_allclose(shown, expected, rtol=1e-6)


def test_histograms_come_with_evaluations(followed: Path) -> None:
    events = read(followed)
    assert set(events.Tags()["histograms"]) == {
        "evaluation/returns",
        "evaluation/lengths",
        "collect/actions",
        "controller/values_without_memory",
        "tokenizer/codes",
    }
    for name in events.Tags()["histograms"]:
        assert [event.step for event in events.Histograms(name)] == [2, 4]
    content, _ = hdf5.read(followed / "metrics.h5", "m3.metrics")
    last = events.Histograms("evaluation/returns")[-1].histogram_value
    assert last.num == 3
    assert last.sum == pytest.approx(content["evaluations"]["returns"][-1].sum())


def test_a_continued_run_replaces_what_it_had_shown(tmp_path: Path) -> None:
    for values in ((1.0, 2.0, 3.0), (2.5, 3.5)):
        tracker = make_tracker(Tracking(tool="tensorboard"), tmp_path, toy_settings("image"))
        for epoch, value in zip(range(4 - len(values), 4), values, strict=True):
            tracker.scalars({"value": value}, epoch)
        tracker.close()
    shown = {event.step: event.value for event in read(tmp_path).Scalars("value")}
    assert shown == {1: 1.0, 2: 2.5, 3: 3.5}


def test_media_are_few_and_whole(followed: Path) -> None:
    media = sorted(path.name for path in (followed / "media").iterdir())
    kinds = ("imagined.mp4", "reconstructions.png", "test.mp4", "train.mp4")
    assert media == [f"epoch-{epoch:06d}-{kind}" for epoch in (2, 3, 4) for kind in kinds]
    for name in media:
        if name.endswith("png"):
            assert Image.open(followed / "media" / name).size == (8 * 10 * 2, 18 * 2)
        else:
            with av.open(str(followed / "media" / name)) as video:
                assert sum(1 for _ in video.decode(video=0)) == 10


def test_reconstructions_show_observations_above(followed: Path) -> None:
    picture = np.asarray(Image.open(followed / "media/epoch-000004-reconstructions.png"))
    first = picture[2:18:2, 2:18:2]
    assert (first == 255).all(-1).sum() == 16  # the quadrant of the cue


def test_training_goes_on_where_nothing_can_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise UserError("rendering needs libEGL")

    monkeypatch.setattr("m3.watch.media.write_if_due", fail)
    settings = toy_settings("vector", epochs=3)
    with following(tmp_path / "run", settings, Tracking(tool="none"), with_media=True) as after_epoch:
        train_in_folder(tmp_path / "run", settings, after_epoch)
    assert capsys.readouterr().out.count("goes on without pictures and videos: rendering needs libEGL") == 1
    assert (tmp_path / "run/weights.safetensors").exists()


def test_unknown_trackers_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "toy/image", "--track", "tensorbord"]) == 2
    assert "did you mean 'tensorboard'" in capsys.readouterr().err


def test_nothing_is_tracked_on_request(tmp_path: Path) -> None:
    assert make_tracker(Tracking(tool="none"), tmp_path, toy_settings("image")) is None
    assert not list(tmp_path.iterdir())


class FakeWandb:
    """Stands in for the package wandb."""

    def __init__(self) -> None:
        self.logged: list[tuple[dict, int]] = []
        self.finished = False

    def init(self, **options: object) -> "FakeWandb":
        self.options = options
        return self

    def log(self, values: dict, step: int) -> None:
        self.logged.append((values, step))

    def finish(self) -> None:
        self.finished = True

    def Histogram(self, values: np.ndarray) -> list:
        return list(values)


def test_weights_and_biases_gets_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, followed: Path) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    settings = toy_settings("all_modalities")
    tracking = Tracking(tool="wandb", project="study", group="first", offline=True)
    with following(tmp_path, settings, tracking, with_media=False) as after_epoch:
        train_in_folder(tmp_path, settings, after_epoch)
    assert fake.finished
    assert fake.options["resume"] == "allow"
    assert (fake.options["project"], fake.options["group"], fake.options["mode"]) == ("study", "first", "offline")
    assert fake.options["config"]["task"] == "all_modalities"
    losses = [values["world_model/loss"] for values, _ in fake.logged if "world_model/loss" in values]
    np.testing.assert_allclose(losses, [event.value for event in read(followed).Scalars("world_model/loss")], rtol=1e-6)
