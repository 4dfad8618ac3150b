"""Tasks on video files: what they are, whether an upload is one, and what browsers can play."""

from pathlib import Path
from typing import Any

import av

from lac._progress import announced
from lac.data.video._orientation import Orientation, orientation_of
from lac.data.video.files import VideoError, best_stream, open_video
from lac.data.video.header import read_header
from lac.data.video.reading import decode, read_video
from lac.pictures import Shown, write_film

LARGEST = 64_000_000  # pixels of a frame
_CHECKED = 25  # frames of an upload that are decoded
_PLAYED = {  # codecs that browsers play, by container
    "mov": {"h264", "vp9", "av1"},
    "webm": {"vp8", "vp9", "av1"},
}
_PLANES = {"yuv420p", "yuvj420p"}
_HEIGHT, _WIDTH = 720, 1280  # of what is transcoded, at most
_COUNTED = 16  # side of frames that are read for their times alone


def describe(path: str) -> dict[str, Any]:
    """Return what a video's header claims, and whether browsers play it as lac sees it."""
    file = Path(path)
    header = read_header(file)
    _refuse_large(file, header.width, header.height)
    with open_video(file) as container:
        codec, playable = _playable(container, file)
    return {
        "frames": header.frames,
        "seconds": round(header.seconds, 3),
        "width": header.width,
        "height": header.height,
        "codec": codec,
        "playable": playable,
    }


def check(path: str) -> dict[str, Any]:
    """Refuse a file that is no video, by decoding how it begins."""
    file = Path(path)
    header = read_header(file)
    _refuse_large(file, header.width, header.height)
    frames = 0
    try:
        for frame, _ in decode(file):
            _refuse_large(file, frame.width, frame.height)
            frames += 1
            if frames == _CHECKED:
                break
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
        raise VideoError(f"{file.name}: decoding failed at frame {frames}: {reason}") from error
    if frames < 2:
        raise VideoError(f"{file.name}: a video must have at least 2 frames, got {frames}")
    return {"frames": header.frames}


def transcode(path: str, name: str, target: str) -> dict[str, Any]:
    """Write a video as H.264 that any browser plays and goes to a frame of at once."""
    file = Path(path)
    with announced(f"Preparing {name}"):
        times = read_video(file, size=_COUNTED).times
        write_film(Path(target), Shown(name, times, file), height=_HEIGHT, width=_WIDTH)
    return {"frames": len(times)}


def _refuse_large(file: Path, width: int, height: int) -> None:
    """Refuse pictures that take more memory than any camera's."""
    if width * height > LARGEST:
        raise VideoError(
            f"{file.name}: frames must have at most {LARGEST} pixels, got {width} x {height}"
        )


def _playable(container: av.container.InputContainer, file: Path) -> tuple[str, bool]:
    """Return the codec, and whether a browser shows the same frames at the same times.

    It does not turn or stretch as lac does in every case, chooses another stream, or begins at
    another time.
    """
    stream = best_stream(container, file)
    codec = stream.codec_context.name
    first = next(container.decode(stream), None)
    if not isinstance(first, av.VideoFrame):
        raise VideoError(f"{file.name}: no frame could be decoded (empty video)")
    kind = container.format.name.partition(",")[0]
    if kind == "matroska" and file.suffix.lower() == ".webm":
        kind = "webm"
    playable = (
        codec in _PLAYED.get(kind, ())
        and stream.codec_context.pix_fmt in _PLANES
        and len(container.streams.video) == 1
        and (stream.sample_aspect_ratio or 1) == 1
        and orientation_of(first) == Orientation()
        and abs(first.time or 0.0) < 1e-3
    )
    return codec, playable
