"""What is told of every epoch while a run trains: a tracker, and the media folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from m3.config.experiment import Tracking
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files.names import MEDIA
from m3.runs.tracking import make_tracker
from m3.runs.train import AfterEpoch
from m3.training.trainer import Trainer


@contextmanager
def following(folder: Path, settings: RunSettings, tracking: Tracking, with_media: bool) -> Iterator[AfterEpoch]:
    """Give what to call after each epoch of the run in ``folder``.

    Where media cannot be made, because nothing can render here or a package is missing, it is said once and training
    goes on.

    Raises:
        UserError: the tracker's package is missing.
    """
    tracker = make_tracker(tracking, folder, settings)
    media: AfterEpoch | None = _media(folder / MEDIA) if with_media else None

    def after_epoch(trainer: Trainer) -> None:
        nonlocal media
        if tracker is not None:
            tracker.after_epoch(trainer)
        try:
            if media is not None:
                media(trainer)
        except UserError as error:
            print(f"{settings.task} seed {settings.seed} | goes on without pictures and videos: {error}", flush=True)
            media = None

    try:
        yield after_epoch
    finally:
        if tracker is not None:
            tracker.close()


def _media(folder: Path) -> AfterEpoch:
    """Make what writes media. It imports what it needs when it is called first, as training itself does not need it."""

    def after_epoch(trainer: Trainer) -> None:
        try:
            from m3.watch.media import write_if_due
        except ModuleNotFoundError as error:
            raise UserError(f"the package {error.name} is not installed: pip install av pillow") from error
        write_if_due(folder, trainer)

    return after_epoch
