"""Reading and writing video files with PyAV; what a header claims is never believed."""

import contextlib
import warnings
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer

from lac._atomic import written_whole
from lac._progress import part
from lac.data.video._orientation import OrientationError, orientation_of
from lac.data.video._signature import what_is

PREPROCESSING = 2  # raise with any change of the frames that are made of what FFmpeg decodes
WRITABLE = (  # take H.264
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ts", ".wmv"),
)
SUFFIXES = (
    *WRITABLE,
    *(".3g2", ".divx", ".dv", ".f4v", ".m2v", ".mxf", ".ogv", ".qt", ".vob", ".webm"),
)
# A constant quantiser: with rate control x264 does not give small pictures the same bytes twice.
ENCODING = {"qp": "18", "preset": "veryfast"}
_TICK = Fraction(1, 90_000)  # seconds; what pictures without a constant rate are stamped with


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


def read_video(path: str | PathLike, *, size: int | None = None, every: int = 1) -> Video:
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
            stream = _best_stream(container, path)
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
    return Video(np.stack(frames), _increasing_times(path, seconds, rate, displayed)[::every])


def decode(path: str | PathLike) -> Iterator[tuple[av.VideoFrame, float]]:
    """Yield the frames that `read_video` reads one by one, and the aspect of their pixels."""
    with open_video(path) as container:
        stream = _best_stream(container, path)
        aspect = float(stream.sample_aspect_ratio or 1)
        for frame in container.decode(stream):
            assert isinstance(frame, av.VideoFrame)
            yield frame, aspect


def decoding() -> str:
    """Name all that decoded frames depend on beside their file: part of the key of caches."""
    libraries = (
        f"{name} {'.'.join(map(str, version))}"
        for name, version in sorted(av.library_versions.items())
    )
    return f"{PREPROCESSING}, PyAV {av.__version__}, {', '.join(libraries)}"


def open_video(path: str | PathLike) -> InputContainer:
    """Open a file that is to be a video.

    Raises
    ------
    VideoError
        If it is missing or no video: the message says what it is.
    """
    if not Path(path).exists():
        raise VideoError(f"{path}: no such file")
    try:
        container = open_file(path)
    except av.FFmpegError:
        raise VideoError(f"{path}: not a video but {what_is(Path(path))}") from None
    if container.format.name == "tty":  # FFmpeg draws texts
        container.close()
        raise VideoError(f"{path}: not a video but {what_is(Path(path))}")
    return container


def open_file(path: str | PathLike) -> InputContainer:
    """Open a file whose name FFmpeg shall read as a name: not as `protocol:`, nor as a pattern."""
    return av.open(
        Path(path).absolute(), container_options={"pattern_type": "none"}, metadata_errors="ignore"
    )


def _best_stream(container: InputContainer, path: str | PathLike) -> av.VideoStream:
    """Return the best video stream, to be decoded by as many threads as FFmpeg likes."""
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream):
        raise VideoError(f"{path}: no video stream in this file")
    stream.codec_context.thread_type = "AUTO"
    return stream


def shortfall(path: Path, decoded: int) -> str | None:
    """Say what a header claims beyond the frames decoded; None where that is next to nothing.

    Only good for a note: headers lie.
    """
    with open_file(path) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            return None
        claimed = stream.frames
        if "mp4" in container.format.name:  # an edit list may show less than there is
            claimed = sum(not entry.is_discard for entry in stream.index_entries)
        if claimed - decoded > max(2, 0.05 * claimed):
            return f"its header says {claimed} frames, {decoded} can be decoded"
        # Many containers claim a duration alone, and a rate would have to be guessed from that.
        if container.duration is None:
            return None
        duration = container.duration / av.time_base
        ends, shown = [0.0], []
        with contextlib.suppress(av.error.FFmpegError):  # what is there ends where it is damaged
            for packet in container.demux():
                if packet.pts is not None:
                    begin = float(packet.pts * packet.time_base)
                    ends.append(begin + float((packet.duration or 0) * packet.time_base))
                    if packet.stream is stream:
                        shown.append(begin)
    longest_step = np.diff(np.sort(shown)).max(initial=0)  # the last one may have been as long
    if duration - max(ends) > max(2 * longest_step, 0.05 * duration):
        return f"its header says {duration:.2f} s, {max(ends):.2f} s of it are there"
    return None


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
    encode(Path(path), (image.transpose(1, 2, 0) for image in part(frames, "encoding")), rate=fps)


def encode(
    file: Path | BinaryIO,
    pictures: Iterable[np.ndarray],
    *,
    rate: int | Fraction,
    times: Sequence[float] | np.ndarray | None = None,
    options: Mapping[str, str] = ENCODING,
) -> None:
    """Write RGB pictures (H, W, 3), of even sides, as H.264 one by one.

    `times` in seconds, where pictures have no constant `rate`, begin with 0. What is no path is
    written to as MP4. A file is there when it is whole, and not before.
    """
    if not isinstance(file, Path):
        _encode(file, pictures, rate, times, options, format="mp4")
        return
    with written_whole(file) as unfinished:
        _encode(unfinished, pictures, rate, times, options, format=None)


def _encode(
    target: Path | BinaryIO,
    pictures: Iterable[np.ndarray],
    rate: int | Fraction,
    times: Sequence[float] | np.ndarray | None,
    options: Mapping[str, str],
    *,
    format: str | None,
) -> None:
    """Write a container of a format, or of that of a path's suffix."""
    with av.open(target, "w", format=format) as container:
        stream = container.add_stream("libx264", rate=rate, options=dict(options))
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # x264's output depends on its number of threads
        if times is not None:
            stream.codec_context.time_base = _TICK
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            # One thread, as in `upright_rgb`: the encoder would convert with many.
            frame = frame.reformat(format="yuv420p", threads=1)
            if times is not None:
                frame.pts, frame.time_base = round(times[number] / _TICK), _TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def upright_rgb(
    frame: av.VideoFrame, *, aspect: float, size: int | None, first: np.ndarray | None
) -> np.ndarray:
    """Return one frame as (3, H, W), its pixels made square, resized, the right way up, cropped."""
    orientation = orientation_of(frame)
    height, width = frame.height, max(1, round(frame.width * aspect))
    if size is not None:
        scale = size / min(height, width)
        height, width = max(size, round(height * scale)), max(size, round(width * scale))
    elif first is not None:
        height, width = first.shape[:0:-1] if orientation.transpose else first.shape[1:]
    # One thread: with more, the converter hangs where a forked worker of a DataLoader frees it.
    plain = frame.reformat(
        width=width, height=height, format="rgb24", interpolation="AREA", threads=1
    )
    picture = orientation.apply(plain.to_ndarray())
    if size is not None:
        top, left = ((side - size) // 2 for side in picture.shape[:2])
        picture = picture[top : top + size, left : left + size]
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def _increasing_times(
    path: str | PathLike, seconds: list[float | None], rate: Fraction | None, displayed: bool
) -> np.ndarray:
    """Return times from 0: the file's own where they increase, mended where few do not.

    Stamps that are not `displayed` may tell the order of decoding; then none of them is right.
    """
    times = np.array([np.nan if time is None else time for time in seconds])
    there = np.flatnonzero(np.isfinite(times))
    good = there[_increasing(times[there])]
    if len(good) == len(times):
        return times - times[0]
    wrong = len(there) - len(good)
    if displayed and len(good) > 1 and wrong <= len(there) / 4:
        if wrong:
            warnings.warn(
                f"{path}: {wrong} of {len(times)} time stamps do not increase; their frames are"
                " placed between their neighbours",
                stacklevel=3,
            )
        return _fill(times[good], good, len(times))
    if not rate:
        raise VideoError(f"{path}: frames have neither increasing times nor a frame rate")
    if displayed and wrong:
        warnings.warn(
            f"{path}: {wrong} of {len(times)} time stamps do not increase; time is frame number"
            f" over frame rate, {float(rate):g}",
            stacklevel=3,
        )
    return np.arange(len(times)) / float(rate)


def _increasing(values: np.ndarray) -> list[int]:
    """Return the places of a longest strictly increasing choice of values, of ties the first."""
    first: list[float] = []  # minus the largest first value of a choice of each length
    after = []
    for value in (-values[::-1]).tolist():
        length = bisect_left(first, value)
        first[length : length + 1] = [value]
        after.append(length)
    after.reverse()  # how many can follow each value
    chosen: list[int] = []
    for place, length in enumerate(after):
        greater = not chosen or values[place] > values[chosen[-1]]
        if greater and length == len(first) - len(chosen) - 1:
            chosen.append(place)
    return chosen


def _fill(times: np.ndarray, frames: np.ndarray, count: int) -> np.ndarray:
    """Return times from 0 of all frames, from those of some: even steps between and beyond them."""
    step = np.median(np.diff(times) / np.diff(frames))
    number = np.arange(count)
    beyond = np.minimum(number - frames[0], 0) + np.maximum(number - frames[-1], 0)
    filled = np.interp(number, frames, times) + step * beyond
    return filled - filled[0]
