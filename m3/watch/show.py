"""Choose what ``m3 watch`` shows, and where."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from tqdm import tqdm

from m3.environments import Environment
from m3.files.names import MEDIA
from m3.hub.places import beside
from m3.runs.loading import LoadedAgent, load, newest_checkpoint
from m3.watch.keyboard import Keyboard
from m3.watch.painter import (
    CAPTIONS,
    HEIGHT,
    IMAGINED_CAPTIONS,
    PLAY_IMAGINED_CAPTIONS,
    REPLAY_CAPTIONS,
    WIDTH,
    Painter,
)
from m3.watch.streams import WatchedStep, imagine_beside, play, play_imagined, stored_episodes
from m3.watch.video import write_video
from m3.watch.window import Window, has_display


@dataclass(frozen=True)
class WatchOptions:
    """The options of the command: what to watch, and how."""

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
    own_code: Sequence[Path | str] = ()


def watch(run: Path | str, options: WatchOptions, device: str) -> None:
    """Show an agent in a window, or record it where there is no display or an output is given.

    Args:
        run: a run's folder or weights, or an agent's address on the Hub.
        options: what to show.
        device: where the networks are.

    Raises:
        UserError: the run has no agent, or a package or display is missing.
    """
    loaded = load(run, device, options.own_code)
    with closing(loaded.make_environment()) as environment:
        keyboard = Keyboard(loaded.action_spec, environment.action_names)
        if options.play or (options.output is None and has_display()):
            _show(loaded, environment, run, options, keyboard)
        else:
            _record(loaded, environment, run, options, keyboard)


def _show(
    loaded: LoadedAgent, environment: Environment, run: Path | str, options: WatchOptions, keyboard: Keyboard
) -> None:
    stream, painter = _stream(loaded, environment, run, options, keyboard)
    if options.play:
        print(f"keys: {keyboard.help()}", flush=True)
    with Window(WIDTH, HEIGHT, f"M3: {loaded.settings.task}") as window:
        keyboard.attach(window)
        for watched in stream:
            window.show(painter.paint(watched), options.fps)
            if window.closed:
                return


def _record(
    loaded: LoadedAgent, environment: Environment, run: Path | str, options: WatchOptions, keyboard: Keyboard
) -> None:
    stream, painter = _stream(loaded, environment, run, options, keyboard)
    kind = "dream" if options.dream else "replay" if options.replay else "watch"
    home = Path(run).parent if Path(run).is_file() else run
    output = options.output or beside(home, f"{MEDIA}/{kind}.mp4")
    wanted = takewhile(lambda watched: watched.episode <= options.episodes, islice(stream, options.steps))
    shown = tqdm(wanted, desc=output.name, total=options.steps, leave=False, disable=None)
    write_video(output, (painter.paint(watched) for watched in shown), options.fps)
    print(f"the video is in {output}")


def _stream(
    loaded: LoadedAgent, environment: Environment, run: Path | str, options: WatchOptions, keyboard: Keyboard
) -> tuple[Iterator[WatchedStep], Painter]:
    """Return the steps to be watched, and who paints them."""
    temperature = loaded.settings.evaluation.temperature if options.temperature is None else options.temperature
    captions = CAPTIONS
    if options.replay:
        captions = REPLAY_CAPTIONS
        replay = newest_checkpoint(Path(run), options.own_code).replay
        stream = stored_episodes(loaded, environment, replay, temperature, options.seed)
    elif options.play and options.dream:
        captions = PLAY_IMAGINED_CAPTIONS
        stream = play_imagined(loaded, environment, temperature, options.seed, keyboard.choose)
    elif options.play:
        stream = play(loaded, environment, temperature, options.seed, keyboard.choose)
    elif options.dream:
        captions = IMAGINED_CAPTIONS
        horizon = options.horizon or loaded.settings.sequences.length
        stream = imagine_beside(loaded, environment, temperature, options.seed, horizon)
    else:
        stream = play(loaded, environment, temperature, options.seed)
    return stream, Painter(loaded, environment.action_names, environment.draw, captions)
