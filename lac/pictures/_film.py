"""A video as browsers play it: H.264 with the times of its frames, any of which is soon shown."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np

from lac._progress import part
from lac.data.video.writing import encode
from lac.pictures._shown import Shown
from lac.pictures._times import clock

# Players can only go to whole pictures quickly; one in twelve is.
_ENCODING = {"crf": "24", "preset": "veryfast", "g": "12", "bf": "0"}


def write_film(
    target: Path | BytesIO, video: Shown, *, height: int, width: int, megabytes: float = np.inf
) -> None:
    """Write the frames of a video that were matched as MP4, the first at 0 s.

    Parameters
    ----------
    target : Path or BytesIO
        A file is there when it is whole, and not before.
    video : Shown
        With a source.
    height, width : int
        Of its frames in pixels, at most.
    megabytes : float
        What a BytesIO may hold.

    Raises
    ------
    ValueError
        If it takes more.
    """
    seconds = video.times - video.times[0]

    def pictures() -> Iterator[np.ndarray]:
        size = video.within(height, width, enlarge=False)
        for number, picture in zip(
            part(range(len(seconds)), video.name),
            video.frames(range(len(seconds)), size),
            strict=True,
        ):
            if isinstance(target, BytesIO) and target.tell() > 1e6 * megabytes:
                reached = clock(seconds[number], longest=float(seconds[-1]))
                raise ValueError(
                    f"`html` must hold at most {megabytes:g} MB of a video, got more after"
                    f" {reached} of {video.name}; match fewer frames, or write `output` instead"
                )
            yield picture

    encode(target, pictures(), rate=25, times=seconds, options=_ENCODING)
