"""What pictures show of a video: its frames, read when they are needed and never all at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from lac.data.video.frames import upright_rgb
from lac.data.video.reading import decode


@dataclass(frozen=True, eq=False)
class Shown:
    """One of two matched videos.

    Attributes
    ----------
    name : str
        As it is to be written beside its frames.
    times : ndarray of float, shape (T,)
        Of the frames that were matched: seconds, or frame numbers where there is no `source`.
    source : Path, ndarray of uint8 (T, 3, H, W), or None
        A video file, the frames themselves, or nothing to show (features).
    every : int
        Every so many frames of the file were matched.
    """

    name: str
    times: np.ndarray
    source: Path | np.ndarray | None
    every: int = 1

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame in square pixels, the right way up."""
        if isinstance(self.source, np.ndarray):
            return self.source.shape[2], self.source.shape[3]
        assert self.source is not None
        frame, aspect = next(decode(self.source))
        _, height, width = upright_rgb(frame, aspect=aspect, size=None, first=None).shape
        return height, width

    def within(self, height: float, width: float, *, enlarge: bool = True) -> tuple[int, int]:
        """Return the largest even size in a box that keeps the aspect."""
        scale = min(height / self.shape[0], width / self.shape[1])
        if not enlarge:
            scale = min(scale, 1.0)
        high, wide = (max(2, 2 * round(side * scale / 2)) for side in self.shape)
        return high, wide

    def frames(
        self, numbers: Sequence[int] | np.ndarray, size: tuple[int, int]
    ) -> Iterator[np.ndarray]:
        """Yield frames (height, width, 3) of some numbers, which never decrease, resized."""
        height, width = size
        number = -1
        pictures = self._upright(set(np.asarray(numbers).tolist()), size)
        for wanted in numbers:
            while number < wanted:
                number, picture = next(pictures)
                if picture.shape[:2] != size:
                    enlarged = Image.fromarray(picture).resize(
                        (width, height), Image.Resampling.BICUBIC
                    )
                    picture = np.asarray(enlarged)
            yield picture

    def _upright(self, wanted: set[int], size: tuple[int, int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield wanted frames with their numbers; those of files no larger than `size`."""
        if isinstance(self.source, np.ndarray):
            for number in sorted(wanted):
                yield number, np.ascontiguousarray(self.source[number].transpose(1, 2, 0))
            return
        assert self.source is not None
        height, width = (min(sides) for sides in zip(size, self.shape, strict=True))
        last = max(wanted)
        for number, (frame, aspect) in enumerate(decode(self.source)):
            place, rest = divmod(number, self.every)
            if rest == 0 and place in wanted:
                like = np.empty((3, height, width), np.uint8)
                picture = upright_rgb(frame, aspect=aspect, size=None, first=like)
                yield place, np.ascontiguousarray(picture.transpose(1, 2, 0))
                if place == last:
                    return
