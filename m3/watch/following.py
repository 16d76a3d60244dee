"""What follows every epoch while a run trains: a tracker, and the media folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from m3.config.experiment import Tracking
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files.names import MEDIA
from m3.runs.tracking import Tracker, make_tracker
from m3.runs.train import AfterEpoch
from m3.training.trainer import Trainer


class _Onlooker:
    """Something that only looks: whatever fails in it is said once, and nothing is asked of it again."""

    def __init__(self, what: str, run: str) -> None:
        self._what = what
        self._run = run
        self._lost = False

    def ask(self, action: Callable[[], object]) -> None:
        """Do something, unless something failed before."""
        if self._lost:
            return
        try:
            action()
        except Exception as error:  # whatever a tracker's server, an encoder or a simulator's drawing raises
            self.lose(error)

    def lose(self, error: Exception) -> None:
        """Say why it is missing from now on."""
        self._lost = True
        reason = next(iter(str(error).strip().splitlines()), "")
        cause = reason if isinstance(error, UserError) else f"{type(error).__name__}: {reason}"
        print(f"{self._run} | goes on without {self._what}: {cause}", flush=True)


@contextmanager
def following(folder: Path, settings: RunSettings, tracking: Tracking, with_media: bool) -> Iterator[AfterEpoch]:
    """Give what to call after each epoch of the run in ``folder``.

    Where a tracker or media fail, because a server or the disk does, nothing can render here or a package is missing,
    it is said once and training goes on.

    Raises:
        UserError: the tracker's package is missing.
    """
    run = f"{settings.task} seed {settings.seed}"
    to_tracker, to_media = _Onlooker("its tracker", run), _Onlooker("pictures and videos", run)
    tracker: Tracker | None = None
    try:
        tracker = make_tracker(tracking, folder, settings)
    except UserError:
        raise
    except Exception as error:  # no key, no network, no place to write
        to_tracker.lose(error)
    media: AfterEpoch | None = _media(folder / MEDIA) if with_media else None

    def after_epoch(trainer: Trainer) -> None:
        if tracker is not None:
            to_tracker.ask(partial(tracker.after_epoch, trainer))
        if media is not None:
            to_media.ask(partial(media, trainer))

    try:
        yield after_epoch
    finally:
        if tracker is not None:
            to_tracker.ask(tracker.close)


def _media(folder: Path) -> AfterEpoch:
    """Make what writes media. It imports what it needs when it is called first, as training itself does not need it."""

    def after_epoch(trainer: Trainer) -> None:
        try:
            from m3.watch.media import write_if_due
        except ModuleNotFoundError as error:
            raise UserError(f"the package {error.name} is not installed: pip install av pillow") from error
        write_if_due(folder, trainer)

    return after_epoch
