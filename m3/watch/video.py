"""Videos as H.264 in mp4, which every browser and slide program plays."""

from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import numpy as np

from m3.errors import UserError
from m3.files.atomic import refuse_other_kinds


def write_video(path: Path, frames: Iterable[np.ndarray], frames_per_second: int) -> int:
    """Write frames to a file, which appears when it is complete; return how many there were.

    Args:
        path: the mp4 file.
        frames: uint8 (height, width, 3), all of one size, with even height and width.
        frames_per_second: how fast they are shown.

    Raises:
        UserError: the package that encodes is missing, or lacks H.264, or the folder cannot be written.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise UserError("videos need the package av, which is not installed: pip install av") from error
    refuse_other_kinds(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    count = 0
    try:
        with av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=frames_per_second)
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "20", "preset": "veryfast", "threads": "1"}
            for frame in frames:
                if count == 0:
                    stream.height, stream.width = frame.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
                count += 1
            container.mux(stream.encode(None))
        partial.replace(path)
    except (av.codec.codec.UnknownCodecError, av.error.FFmpegError) as error:
        raise UserError(
            f"cannot write {path}: {error}; reinstall the encoder with pip install --force-reinstall av"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return count
