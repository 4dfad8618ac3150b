"""What the header of a video file claims: good for choosing settings and for notes."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from lac.data.video.files import VideoError, best_stream, open_file

_FASTEST = 1000  # frames a second that a header is believed
_USUAL = 30  # frames a second, where nothing tells the duration


@dataclass(frozen=True)
class Header:
    """What a video file says of itself, which may be wrong.

    Attributes
    ----------
    frames : int
        Number of frames, >= 1.
    seconds : float
        Duration, > 0.
    width, height : int
        Of the frames, in pixels.
    """

    frames: int
    seconds: float
    width: int
    height: int

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds


def read_header(path: Path) -> Header:
    """Return what a video's header says; packets are counted where it says too little.

    Raises
    ------
    VideoError
        If the file cannot be opened, or holds no video.
    """
    try:
        with open_file(path) as container:
            stream = best_stream(container, path)
            width, height = stream.width, stream.height
            rates = (float(rate or 0) for rate in (stream.average_rate, stream.guessed_rate))
            rate = next((rate for rate in rates if 0 < rate <= _FASTEST), 0.0)
            seconds = (container.duration or 0) / av.time_base
            frames, expected = stream.frames, round(seconds * rate)
            if expected and not expected / 2 <= frames <= 2 * expected:
                frames = expected
            if not (frames > 0 and seconds > 0):
                times = [
                    float(packet.pts * packet.time_base)
                    for packet in container.demux(stream)
                    if packet.pts is not None and packet.time_base is not None
                ]
                frames = max(1, len(times))
                seconds = (max(times) - min(times)) if len(times) > 1 else 0.0
    except av.FFmpegError as error:
        raise VideoError(f"{path}: it cannot be opened: {error.strerror or error}") from error
    return Header(frames, seconds or frames / _USUAL, width, height)


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
