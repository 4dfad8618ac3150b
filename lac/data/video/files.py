"""Opening files that are to be videos, and saying what they are if they are none."""

from functools import cache
from os import PathLike
from pathlib import Path

import av
from av.container import InputContainer

from lac.data.video._signature import what_is

WRITABLE = (  # take H.264
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ts", ".wmv"),
)
SUFFIXES = (
    *WRITABLE,
    *(".3g2", ".divx", ".dv", ".f4v", ".m2v", ".mxf", ".ogv", ".qt", ".vob", ".webm"),
)
_LISTS = {  # formats whose files name other files, or addresses, to be read
    *("concat", "dash", "hls", "imf", "lavfi", "rtp", "rtp_mpegts", "rtsp", "sap", "sdp"),
    *("webm_dash_manifest",),
}


class VideoError(ValueError):
    """A video file that cannot be used; the message names the file and the reason."""


def open_video(path: str | PathLike[str]) -> InputContainer:
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


def open_file(path: str | PathLike[str]) -> InputContainer:
    """Open a file and nothing else that it names.

    FFmpeg shall read its name as a name, not as `protocol:` nor as a pattern, and not take it for a
    list of other files.
    """
    return av.open(
        Path(path).absolute(),
        container_options={"pattern_type": "none", "format_whitelist": _formats()},
        metadata_errors="ignore",
    )


@cache
def _formats() -> str:
    """Return the formats that hold what they show, as FFmpeg wants them."""
    return ",".join(sorted(av.formats_available - _LISTS))


def best_stream(container: InputContainer, path: str | PathLike[str]) -> av.VideoStream:
    """Return the best video stream, to be decoded by as many threads as FFmpeg likes."""
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream):
        raise VideoError(f"{path}: no video stream in this file")
    stream.codec_context.thread_type = "AUTO"
    return stream
