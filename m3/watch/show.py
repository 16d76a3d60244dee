"""What ``python -m m3 watch`` shows, and where."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from tqdm import tqdm

from m3.environments import Environment
from m3.loading import LoadedAgent, load_agent
from m3.training.experience import newest_checkpoint
from m3.watch.keyboard import Keyboard
from m3.watch.moments import Moment, dream_beside, play, play_dream, stored_episodes
from m3.watch.painter import (
    CAPTIONS,
    DREAM_CAPTIONS,
    HEIGHT,
    PLAY_DREAM_CAPTIONS,
    REPLAY_CAPTIONS,
    WIDTH,
    Painter,
)
from m3.watch.video import write_video
from m3.watch.window import Window, has_display


@dataclass(frozen=True)
class Wish:
    """What somebody wants to watch; the options of the command."""

    dream: bool = False
    replay: bool = False
    play: bool = False
    output: Path | None = None
    episodes: int = 1
    steps: int = 1000
    horizon: int | None = None
    fps: int = 15
    seed: int = 0
    temperature: float | None = None


def watch(run: Path, wish: Wish, device: str) -> None:
    """Show an agent in a window, or record it where there is no display or an output is given.

    Raises:
        UserError: the run has no agent, or a package or display is missing.
    """
    loaded = load_agent(run, device)
    with closing(loaded.make_environment()) as environment:
        keyboard = Keyboard(loaded.action_spec, environment.action_names)
        if wish.play or (wish.output is None and has_display()):
            _show(loaded, environment, run, wish, keyboard)
        else:
            _record(loaded, environment, run, wish, keyboard)


def _show(loaded: LoadedAgent, environment: Environment, run: Path, wish: Wish, keyboard: Keyboard) -> None:
    moments, painter = _moments(loaded, environment, run, wish, keyboard)
    if wish.play:
        print(f"keys: {keyboard.help()}", flush=True)
    with Window(WIDTH, HEIGHT, f"M3: {loaded.settings.task}") as window:
        keyboard.attach(window)
        for moment in moments:
            window.show(painter.paint(moment), wish.fps)
            if window.closed:
                return


def _record(loaded: LoadedAgent, environment: Environment, run: Path, wish: Wish, keyboard: Keyboard) -> None:
    moments, painter = _moments(loaded, environment, run, wish, keyboard)
    kind = "dream" if wish.dream else "replay" if wish.replay else "watch"
    folder = run if run.is_dir() else run.parent
    output = wish.output or folder / "media" / f"{kind}.mp4"
    wanted = takewhile(lambda moment: moment.episode <= wish.episodes, islice(moments, wish.steps))
    shown = tqdm(wanted, desc=output.name, total=wish.steps, leave=False, disable=None)
    write_video(output, (painter.paint(moment) for moment in shown), wish.fps)
    print(f"the video is in {output}")


def _moments(
    loaded: LoadedAgent, environment: Environment, run: Path, wish: Wish, keyboard: Keyboard
) -> tuple[Iterator[Moment], Painter]:
    """What is wished for, and who paints it."""
    temperature = loaded.settings.evaluation.temperature if wish.temperature is None else wish.temperature
    captions = CAPTIONS
    if wish.replay:
        captions = REPLAY_CAPTIONS
        replay = newest_checkpoint(run).replay
        moments = stored_episodes(loaded, environment, replay, temperature, wish.seed)
    elif wish.play and wish.dream:
        captions = PLAY_DREAM_CAPTIONS
        moments = play_dream(loaded, environment, temperature, wish.seed, keyboard.choose)
    elif wish.play:
        moments = play(loaded, environment, temperature, wish.seed, keyboard.choose)
    elif wish.dream:
        captions = DREAM_CAPTIONS
        horizon = wish.horizon or loaded.settings.sequences.length
        moments = dream_beside(loaded, environment, temperature, wish.seed, horizon)
    else:
        moments = play(loaded, environment, temperature, wish.seed)
    return moments, Painter(loaded, environment.action_names, environment.draw, captions)
