"""Videos as H.264 in mp4, which every browser and slide program plays, or short ones as GIF, which every page shows."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image

from m3.errors import UserError
from m3.files.atomic import refuse_other_kinds

FORMATS = (".mp4", ".gif")


def write_video(path: Path, frames: Iterable[np.ndarray], frames_per_second: int) -> None:
    """Write frames to a file, which appears when it is complete.

    Args:
        path: its suffix is one of ``FORMATS``. All frames of a GIF are held in memory.
        frames: uint8 (height, width, 3), all of one size, with even height and width.
        frames_per_second: how fast they are shown.

    Raises:
        UserError: the package that encodes is missing, or lacks H.264, or the folder cannot be written.
    """
    with _partial(path) as partial:
        if path.suffix == ".gif":
            _write_gif(partial, frames, frames_per_second)
        else:
            _write_mp4(partial, frames, frames_per_second, path)


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """Name a file that becomes ``path`` when the block ends without an error."""
    refuse_other_kinds(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_mp4(partial: Path, frames: Iterable[np.ndarray], frames_per_second: int, path: Path) -> None:
    try:
        import av
    except ModuleNotFoundError as error:
        raise UserError("videos need the package av, which is not installed: pip install av") from error
    try:
        with av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=frames_per_second)
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "20", "preset": "veryfast", "threads": "1"}
            for number, frame in enumerate(frames):
                if number == 0:
                    stream.height, stream.width = frame.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
    except (av.codec.codec.UnknownCodecError, av.error.FFmpegError) as error:
        raise UserError(
            f"cannot write {path}: {error}; reinstall the encoder with pip install --force-reinstall av"
        ) from error


def _write_gif(partial: Path, frames: Iterable[np.ndarray], frames_per_second: int) -> None:
    pictures = (Image.fromarray(frame) for frame in frames)
    first = next(pictures).quantize(dither=Image.Dither.NONE)
    # One palette for all: a colour that stays the same costs nothing.
    others = (picture.quantize(palette=first, dither=Image.Dither.NONE) for picture in pictures)
    duration = round(1000 / frames_per_second)
    first.save(partial, "GIF", save_all=True, append_images=others, duration=duration, loop=0)
