import re
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from m3.cli import main
from m3.errors import ExitStatus


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


def frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as video:
        assert video.streams.video[0].codec.name == "h264"
        return np.array([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


@pytest.mark.parametrize(
    ("options", "name", "count"),
    [([], "watch.mp4", 10), (["--dream", "--episodes", "2"], "dream.mp4", 20), (["--replay"], "replay.mp4", 10)],
)
def test_without_a_display_videos_are_recorded(
    run: Path, options: list[str], name: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(run), *options]) == 0
    assert f"the video is in {run / 'media' / name}" in capsys.readouterr().out
    shown = frames(run / "media" / name)
    assert shown.shape == (count, 720, 1280, 3)
    assert (shown[0] != shown[-1]).any()


def test_a_video_shows_the_scene_where_it_belongs(run: Path, tmp_path: Path) -> None:
    """The toy's cue, a white quadrant, is white in the panels of the scene and of the observation."""
    assert main(["watch", str(run), "--steps", "3", "--seed", "1", "--output", str(tmp_path / "a.mp4")]) == 0
    first = frames(tmp_path / "a.mp4")[0].astype(int)
    white = (first.min(-1) > 240).astype(float)
    scene, seen = white[110:690, 30:590], white[96:372, 618:894]
    for panel in (scene, seen):
        assert panel.mean() == pytest.approx(0.25, abs=0.04)


def test_vectors_and_continuous_actions_are_drawn_too(vector_run: Path, tmp_path: Path) -> None:
    assert main(["watch", str(vector_run), "--steps", "4", "--dream", "--output", str(tmp_path / "a.mp4")]) == 0
    assert len(frames(tmp_path / "a.mp4")) == 4


def test_a_gif_shows_what_the_video_shows(run: Path, tmp_path: Path) -> None:
    for name in ("a.gif", "a.mp4"):
        assert main(["watch", str(run), "--steps", "4", "--fps", "5", "--output", str(tmp_path / name)]) == 0
    with Image.open(tmp_path / "a.gif") as picture:
        assert (picture.n_frames, picture.info["duration"], picture.info["loop"]) == (4, 200, 0)
        picture.seek(3)
        last = np.asarray(picture.convert("RGB")).astype(int)
    difference = np.abs(last - frames(tmp_path / "a.mp4")[3])
    assert difference.mean() < 3


def test_the_same_seed_gives_the_same_video(run: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        assert main(["watch", str(run), "--steps", "5", "--output", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--play"], "there is no display .* --output"),
        (["--play", "--output", "a.mp4"], "--play needs a window"),
        (["--replay", "--dream"], "leave out --dream"),
        (["--output", "a.avi"], r"must end in \.mp4 or \.gif"),
        (["--steps", "0"], "--steps must be at least 1, got 0"),
    ],
)
def test_mistakes_are_one_line(run: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(run), *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(words, error)


def test_a_missing_encoder_is_named(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["watch", str(run)]) == 2
    assert "pip install av" in capsys.readouterr().err


def test_no_half_video_is_left_behind(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("m3.watch.painter.Painter._traces", fail)
    assert main(["watch", str(run), "--output", str(tmp_path / "a.mp4")]) == ExitStatus.INTERRUPTED
    assert list(tmp_path.iterdir()) == []
