"""The window, on a virtual display, with keys from outside."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from components import missing

from m3.cli import main
from m3.errors import UserError
from m3.watch.window import Window


@pytest.fixture(scope="module")
def display() -> Iterator[dict[str, str]]:
    """The environment variables of a process on a virtual display."""
    for program in ("Xvfb", "xdotool"):
        if shutil.which(program) is None:
            missing(program)
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as numbers:
            yield {**os.environ, "DISPLAY": f":{numbers.readline().strip()}"}
    finally:
        server.terminate()
        server.wait()


class Watching:
    """A process that opens a window."""

    def __init__(self, display: dict[str, str], *arguments: str) -> None:
        self._display = display
        command = [sys.executable, *arguments, "--fps", "30"]
        self._process = subprocess.Popen(
            command, env=display, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._wait_for_window()

    def _wait_for_window(self) -> None:
        search = ["xdotool", "search", "--onlyvisible", "--class", "^m3$"]
        for _ in range(600):
            assert self._process.poll() is None, self._process.communicate()
            found = subprocess.run(
                search, env=self._display, capture_output=True, text=True, check=False
            ).stdout.split()
            focus = ["xdotool", "windowfocus", "--sync", *found[-1:]]
            # The first window may be gone already: SDL makes another one where it finds no fast renderer.
            if found and subprocess.run(focus, env=self._display, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError("no window appeared")

    def do(self, *command: str) -> None:
        """Act on the window in front."""
        subprocess.run(["xdotool", *command], env=self._display, check=True)

    def end(self) -> tuple[int, str, str]:
        """Exit status, output and errors."""
        output, errors = self._process.communicate(timeout=120)
        return self._process.returncode, output, errors


def test_escape_ends_the_program_cleanly(run: Path, display: dict[str, str]) -> None:
    watching = Watching(display, "-m", "m3", "watch", str(run))
    watching.do("key", "Escape")
    assert watching.end() == (0, "", "")


def test_closing_the_window_ends_the_program_cleanly(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = []
    show = Window.show

    def show_and_close(window: Window, picture: np.ndarray, frames_per_second: int) -> None:
        shown.append(picture)
        if len(shown) == 3:
            window._pygame.event.post(window._pygame.event.Event(window._pygame.QUIT))
        show(window, picture, frames_per_second)

    monkeypatch.setattr(Window, "show", show_and_close)
    assert main(["watch", str(run), "--play", "--dream", "--fps", "100"]) == 0
    assert len(shown) == 3
    output = capsys.readouterr()
    assert output.out.startswith("keys: 1: action 0")
    assert output.err == ""


RECORD = """
import sys
from m3.watch import keyboard
from m3.cli import main

act = keyboard.Keyboard.action
taken = set()

def record(self, keys):
    action = act(self, keys)
    if tuple(keys) not in taken:
        taken.add(tuple(keys))
        print(keys, action, flush=True)
    return action

keyboard.Keyboard.action = record
sys.exit(main(["watch", *sys.argv[1:]]))
"""


def test_pressed_keys_become_actions(run: Path, display: dict[str, str]) -> None:
    watching = Watching(display, "-c", RECORD, str(run), "--play")
    watching.do("keydown", "3")
    time.sleep(0.5)
    watching.do("keyup", "3", "key", "2")
    time.sleep(0.5)
    watching.do("key", "Escape")
    status, output, _ = watching.end()
    assert status == 0
    assert "[] [0]" in output
    assert "['3'] [2]" in output
    assert "['2'] [1]" in output


def test_a_display_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":9876")
    with pytest.raises(UserError, match=r"no display answers at :9876.* --output FILE\.mp4"):
        Window(60, 40, "test")


def test_pictures_reach_the_screen_upright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    with Window(60, 40, "test") as window:
        window.show(picture, 100)
        shown = window._pygame.surfarray.array3d(window._surface).swapaxes(0, 1)
        np.testing.assert_array_equal(shown, picture)
        assert not window.closed
        window._pygame.event.post(window._pygame.event.Event(window._pygame.QUIT))
        window.show(picture, 100)
        assert window.closed
