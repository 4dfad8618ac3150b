"""Reading and writing video files with PyAV; what a header claims is never believed."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import av
import numpy as np

DECODING = 1  # raise with any change of the frames returned: cached frames are made again
SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogv", ".ts", ".webm", ".wmv"),
)
# A constant quantiser: with rate control x264 does not give small pictures the same bytes twice.
ENCODING = {"qp": "18", "preset": "veryfast"}


class VideoError(ValueError):
    """A video file that cannot be used; the message names the file and the reason."""


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


def read_video(path: str | PathLike, *, size: int | None = None) -> Video:
    """Decode every frame of the best video stream of a file.

    Frames are counted by decoding, so a file that was cut short gives the frames it has. A file
    with pictures that the decoder says it could only patch is refused. Rotation written in the
    file and pixels that are not square are applied. Metadata in another encoding than UTF-8 is
    tolerated.

    Parameters
    ----------
    path : str or path
        A file in any container that FFmpeg reads.
    size : int, optional
        Side in pixels (>= 2) of the square frames returned: the short side is resized to `size`
        and the centre is cut out. Frames keep the size of the first frame if absent.

    Returns
    -------
    Video
        Frames and their times. Where the file's time stamps are missing or do not increase, as in
        some AVI files, time is frame number over frame rate.

    Raises
    ------
    VideoError
        If the file is missing, is no video, holds no frame, or has a damaged one.
    """
    if size is not None and size < 2:
        raise ValueError(f"`size` must be >= 2 pixels, got {size}")
    frames: list[np.ndarray] = []
    seconds: list[float | None] = []
    try:
        with av.open(Path(path), metadata_errors="ignore") as container:
            stream = container.streams.best("video")
            if not isinstance(stream, av.VideoStream):
                raise VideoError(f"{path}: no video stream in this file")
            stream.codec_context.thread_type = "AUTO"
            aspect = float(stream.sample_aspect_ratio or 1)
            for frame in container.decode(stream):
                assert isinstance(frame, av.VideoFrame)
                if frame.is_corrupt:
                    raise VideoError(f"{path}: frame {len(frames)} is damaged in the file")
                first = frames[0] if frames else None
                frames.append(upright_rgb(frame, aspect=aspect, size=size, first=first))
                seconds.append(frame.time)
            rate = stream.guessed_rate or stream.average_rate
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
        raise VideoError(f"{path}: decoding failed at frame {len(frames)}: {reason}") from error
    if not frames:
        raise VideoError(f"{path}: no frame could be decoded (empty video)")
    return Video(np.stack(frames), _increasing_times(path, seconds, rate))


def claimed_frames(path: Path) -> int | None:
    """Return how many frames a header claims, None if it claims none; only good for a warning."""
    with av.open(path, metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            return None
        if stream.frames:
            return stream.frames
        rate = stream.guessed_rate or stream.average_rate
        seconds = container.duration / av.time_base if container.duration else None
        return round(seconds * float(rate)) if seconds and rate else None


def resize(frames: np.ndarray, *, size: int) -> np.ndarray:
    """Bring frames to the size of training, as `read_video` does while it decodes.

    Parameters
    ----------
    frames : ndarray of uint8, shape (T, 3, H, W)
        RGB.
    size : int
        Side in pixels (>= 2) of the square frames returned.

    Returns
    -------
    ndarray of uint8, shape (T, 3, size, size)
        `frames` itself if they are of that size.

    Raises
    ------
    ValueError
        If `size` is too small.
    """
    if size < 2:
        raise ValueError(f"`size` must be >= 2 pixels, got {size}")
    if frames.shape[2:] == (size, size):
        return frames
    pictures = np.ascontiguousarray(frames.transpose(0, 2, 3, 1))
    return np.stack(
        [
            upright_rgb(
                av.VideoFrame.from_ndarray(picture, format="rgb24"), aspect=1, size=size, first=None
            )
            for picture in pictures
        ]
    )


def write_video(path: str | PathLike, frames: np.ndarray, *, fps: int = 25) -> None:
    """Write frames as H.264 in the container that the file's suffix names.

    The same frames give the same bytes with the same build of FFmpeg.

    Parameters
    ----------
    path : str or path
        File to write, `.mp4` for example.
    frames : ndarray of uint8, shape (T, 3, H, W)
        RGB frames; T >= 1, H and W even.
    fps : int
        Frames per second, > 0.

    Raises
    ------
    TypeError
        If `frames` is not uint8.
    ValueError
        If `frames` has another shape.
    """
    if frames.dtype != np.uint8:
        raise TypeError(f"`frames` must be uint8, got {frames.dtype}")
    if (
        frames.ndim != 4
        or frames.shape[1] != 3
        or 0 in frames.shape
        or any(side % 2 for side in frames.shape[2:])
    ):
        raise ValueError(f"`frames` must be (T, 3, H, W), H and W even, got {frames.shape}")
    with av.open(Path(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options=ENCODING)
        stream.height, stream.width = frames.shape[2:]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # x264's output depends on its number of threads
        for image in frames:
            picture = np.ascontiguousarray(image.transpose(1, 2, 0))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def upright_rgb(
    frame: av.VideoFrame, *, aspect: float, size: int | None, first: np.ndarray | None
) -> np.ndarray:
    """Return one frame as (3, H, W), its pixels made square, turned upright, resized, cropped."""
    quarter_turns = round(frame.rotation / 90) % 4
    height, width = frame.height, max(1, round(frame.width * aspect))
    if size is not None:
        scale = size / min(height, width)
        height, width = max(size, round(height * scale)), max(size, round(width * scale))
    elif first is not None:
        height, width = first.shape[1:] if quarter_turns % 2 == 0 else first.shape[:0:-1]
    picture = frame.reformat(
        width=width, height=height, format="rgb24", interpolation="AREA"
    ).to_ndarray()
    if size is not None:
        top, left = (height - size) // 2, (width - size) // 2
        picture = picture[top : top + size, left : left + size]
    return np.ascontiguousarray(np.rot90(picture, quarter_turns).transpose(2, 0, 1))


def _increasing_times(
    path: str | PathLike, seconds: list[float | None], rate: object
) -> np.ndarray:
    """Return times from 0: the file's own where they increase, else by the frame rate."""
    times = np.array([np.nan if time is None else time for time in seconds])
    if np.isfinite(times).all() and (np.diff(times) > 0).all():
        return times - times[0]
    if not rate:
        raise VideoError(f"{path}: frames have neither increasing times nor a frame rate")
    return np.arange(len(times)) / float(rate)  # type: ignore[arg-type]
