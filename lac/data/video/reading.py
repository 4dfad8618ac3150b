"""Decoding video files with PyAV; what a header claims is never believed."""

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import av
import numpy as np

from lac._progress import part
from lac.data.video._orientation import OrientationError
from lac.data.video._times import increasing_times
from lac.data.video.files import VideoError, best_stream, open_video
from lac.data.video.frames import upright_rgb


@dataclass(frozen=True, eq=False)
class Video:
    """Decoded frames of one file.

    Attributes
    ----------
    frames : ndarray of uint8, shape (T, 3, H, W)
        RGB frames in display order and orientation.
    times : ndarray of float64, shape (T,)
        Display times in seconds, strictly increasing, 0 for the first frame.
    """

    frames: np.ndarray
    times: np.ndarray


def read_video(path: str | PathLike[str], *, size: int | None = None, every: int = 1) -> Video:
    """Decode every frame of the best video stream of a file.

    Frames are counted by decoding, so a file that was cut short gives the frames it has. A file
    with pictures that the decoder says it could only patch is refused. Frames are turned and
    mirrored as the file says, in all eight orientations, and pixels that are not square are
    stretched. Metadata in another encoding than UTF-8 is tolerated.

    Parameters
    ----------
    path : str or path
        A file in any container that FFmpeg reads; never a URL or a pattern.
    size : int, optional
        Side in pixels (>= 2) of the square frames returned: the short side is resized to `size`
        and the centre is cut out. Frames keep the size of the first frame if absent.
    every : int
        Keep every so many frames, >= 1, the first among them; all are decoded.

    Returns
    -------
    Video
        Frames and their times. A frame whose time stamp is missing or out of order is placed
        between its neighbours. Where more than one stamp in four is out of order or none is there,
        and in AVI files that count in the order of decoding, time is frame number over frame rate.

    Raises
    ------
    VideoError
        If the file is missing, is no video, holds no frame, has a damaged one, or has one to be
        shown at an angle that is no multiple of 90 degrees.

    Warns
    -----
    UserWarning
        If there are time stamps that cannot be right.
    """
    if size is not None and size < 2:
        raise ValueError(f"`size` must be >= 2 pixels, got {size}")
    if every < 1:
        raise ValueError(f"`every` must be >= 1, got {every}")
    frames: list[np.ndarray] = []
    seconds: list[float | None] = []
    try:
        with open_video(path) as container:
            stream = best_stream(container, path)
            aspect = float(stream.sample_aspect_ratio or 1)
            claimed = stream.frames or None  # headers lie, so it is shown and no more
            label = f"decoding {Path(path).name}"
            for frame in part(container.decode(stream), label, total=claimed):
                assert isinstance(frame, av.VideoFrame)
                if frame.is_corrupt:
                    raise VideoError(f"{path}: frame {len(seconds)} is damaged in the file")
                first = frames[0] if frames else None
                if len(seconds) % every == 0:
                    frames.append(upright_rgb(frame, aspect=aspect, size=size, first=first))
                seconds.append(frame.time)
            rate = stream.guessed_rate or stream.average_rate
            displayed = container.format.name != "avi"
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
        raise VideoError(f"{path}: decoding failed at frame {len(seconds)}: {reason}") from error
    except OrientationError as error:
        raise VideoError(f"{path}: frame {len(seconds)}: {error}") from None
    if not frames:
        raise VideoError(f"{path}: no frame could be decoded (empty video)")
    return Video(np.stack(frames), increasing_times(path, seconds, rate, displayed)[::every])


def decode(path: str | PathLike[str]) -> Iterator[tuple[av.VideoFrame, float]]:
    """Yield the frames that `read_video` reads one by one, and the aspect of their pixels."""
    with open_video(path) as container:
        stream = best_stream(container, path)
        aspect = float(stream.sample_aspect_ratio or 1)
        for frame in container.decode(stream):
            assert isinstance(frame, av.VideoFrame)
            yield frame, aspect
