"""The video of two matched videos in step, with names, clocks, and a bar of what matches."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lac._matching import Matching
from lac._progress import part
from lac._trust import Trust
from lac.data.video.writing import encode
from lac.pictures._shown import Shown
from lac.pictures._times import clock, matched_parts, matched_spans, partner_times
from lac.pictures._words import printable, shortened, trust_line, wrapped

_HEIGHT, _NARROW, _WIDE = 360, 270, 640  # of each video's panel
_MARGIN = 14
_HEAD = 34  # above the panels, for names and clocks
_MARK = 34  # below them, for whether they match
_RAIL, _LINKS = 10, 26  # a bar of each video, and the space between for what links them
_LABEL = 96  # left of the bars, for names
_LINE = 20  # of words below
_SLOW, _FAST = 5, 60  # frames a second at least and at most
_DIM = 0.45
_ENCODING = {"crf": "20", "preset": "veryfast"}

_GROUND, _PANEL, _QUIET, _WORDS, _MATCH = "#14181d", "#0a0c0f", "#5f6b76", "#e8edf2", "#56b4e9"
_LINKED = "#24506e"  # the colour of matches, darkened


def write_side_by_side(
    file: Path, matching: Matching, a: Shown, b: Shown, *, trust: Trust | None = None
) -> None:
    """Write a video of the first video, whole and at its own pace, with the second beside it.

    Where they match, the second is in step with the first. Before the first match it runs up to
    it at its own pace, after a match on from it; it waits where that would lead beyond the next
    match or its end, and leaves out what there is no time for. To see all of the second video,
    exchange the two. What matches nothing is dimmed.

    Parameters
    ----------
    file : Path
        Of a kind that can hold H.264. Its folder is made if it is not there.
    matching : Matching
        Of `a` and `b`; it may match nothing.
    a, b : Shown
        The videos, with a source. Frames keep their aspect, are at most 360 pixels high and 640
        wide, and are read one by one.
    trust : Trust, optional
        How far the alignment can be trusted, said in one line beneath.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    seconds, matched = partner_times(matching, a.times, b.times)
    rate, rows = _even_steps(a.times)
    columns = _nearest(b.times, seconds[rows])
    stage = _Stage(matching, (a, b), trust_line(trust))
    pictures = zip(
        part(range(len(rows)), "frames"),
        a.frames(rows, stage.sizes[0]),
        b.frames(columns, stage.sizes[1]),
        strict=True,
    )
    encode(
        file,
        (
            stage.compose(frames, (rows[k], columns[k]), matched=bool(matched[rows[k]]))
            for k, *frames in pictures
        ),
        rate=rate,
        options=_ENCODING,
    )


def _even_steps(times: np.ndarray) -> tuple[Fraction, np.ndarray]:
    """Return a rate and the numbers of the frames to be seen at that rate."""
    lasting = float(times[-1] - times[0])
    usual = (len(times) - 1) / lasting if lasting else _SLOW
    rate = Fraction(min(max(usual, _SLOW), _FAST)).limit_denominator(1001)
    count = round(lasting * rate) + 1
    return rate, _nearest(times, times[0] + np.arange(count) / float(rate))


def _nearest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the numbers of the frames nearest in time."""
    middles = (times[1:] + times[:-1]) / 2
    return np.searchsorted(middles, wanted, side="right")


class _Stage:
    """What stays around the frames, drawn once, and what moves, drawn for each frame."""

    def __init__(self, matching: Matching, videos: Sequence[Shown], words: str):
        """Lay out and draw what stays."""
        self.videos = videos
        self.sizes = [video.within(_HEIGHT, _WIDE) for video in videos]
        widths = [max(_NARROW, width) for _, width in self.sizes]
        high = max(height for height, _ in self.sizes)
        self.width = sum(widths) + 3 * _MARGIN
        self.panels = [
            (left, _HEAD, left + width - 1, _HEAD + high - 1)
            for left, width in zip((_MARGIN, 2 * _MARGIN + widths[0]), widths, strict=True)
        ]
        self.mark = _HEAD + high + _MARK // 2
        top = _HEAD + high + _MARK
        self.rails = [top, top + _RAIL + _LINKS]
        words = wrapped(words, _fitting(self.width - 2 * _MARGIN, 13))
        below = self.rails[1] + _RAIL + _MARGIN
        self.height = 2 * ((below + _LINE * len(words.splitlines()) + 1) // 2)
        self.grounds = [Image.new("RGB", (self.width, self.height), _GROUND) for _ in range(2)]
        for matched, ground in enumerate(self.grounds):
            self._draw_names(ground, words, below)
            self._draw_mark(ground, matched=bool(matched))
            self._draw_rails(ground, matching)

    def compose(
        self, frames: Sequence[np.ndarray], numbers: Sequence[int], *, matched: bool
    ) -> np.ndarray:
        """Return the picture (height, width, 3) for a frame of each video."""
        picture = self.grounds[matched].copy()
        draw = ImageDraw.Draw(picture)
        places = []
        for side, (video, frame, number) in enumerate(
            zip(self.videos, frames, numbers, strict=True)
        ):
            left, top, right, bottom = self.panels[side]
            height, width = frame.shape[:2]
            shown = Image.fromarray(frame)
            x, y = (left + right + 1 - width) // 2, (top + bottom + 1 - height) // 2
            picture.paste(shown if matched else _dimmed(shown), (x, y))
            time = float(video.times[number])
            words = clock(time, longest=float(video.times[-1]))
            draw.text((right, _HEAD // 2), words, _WORDS, _font(15), "rm")
            places.append(self._place(video, time))
        if matched:  # the frames that are paired
            ends = zip(places, (self.rails[0] + _RAIL, self.rails[1]), strict=True)
            draw.line([*ends], _WORDS, 2)
        for place, rail in zip(places, self.rails, strict=True):
            draw.rectangle((place - 2, rail - 4, place + 1, rail + _RAIL + 3), _WORDS)
        return np.asarray(picture)

    def _place(self, video: Shown, time: float) -> float:
        """Return where a time lies on the bar of its video, in pixels from the left."""
        first, last = float(video.times[0]), float(video.times[-1])
        left, right = _MARGIN + _LABEL, self.width - _MARGIN
        return left + (right - left) * (time - first) / (last - first or 1.0)

    def _draw_names(self, ground: Image.Image, words: str, below: int) -> None:
        """Write the names above the panels and beside the bars, and the words below."""
        draw = ImageDraw.Draw(ground)
        for video, (left, _, right, _), rail in zip(
            self.videos, self.panels, self.rails, strict=True
        ):
            name = printable(video.name)
            title = shortened(name, _fitting(right - left - 80, 15, bold=True))  # beside the clock
            draw.text((left, _HEAD // 2), title, _WORDS, _font(15, bold=True), "lm")
            label = shortened(name, _fitting(_LABEL - 10, 12))
            draw.text((_MARGIN, rail + _RAIL // 2), label, _WORDS, _font(12), "lm")
        for number, line in enumerate(words.splitlines()):
            draw.text((_MARGIN, below + _LINE * number), line, _WORDS, _font(13))

    def _draw_mark(self, ground: Image.Image, *, matched: bool) -> None:
        """Frame the panels, and say below them whether they are paired."""
        draw = ImageDraw.Draw(ground)
        for left, top, right, bottom in self.panels:
            edge = (left - 3, top - 3, right + 3, bottom + 3)
            draw.rectangle(edge, _PANEL, _MATCH if matched else _GROUND, 3)
        words = "paired" if matched else "not paired"
        half = _length(words, 13, bold=True) / 2 + 12
        middle = self.width / 2
        pill = (middle - half, self.mark - 11, middle + half, self.mark + 11)
        draw.rounded_rectangle(pill, 11, _MATCH if matched else None, _MATCH if matched else _QUIET)
        ink = _GROUND if matched else _WORDS
        draw.text((middle, self.mark), words, ink, _font(13, bold=True), "mm")

    def _draw_rails(self, ground: Image.Image, matching: Matching) -> None:
        """Draw a bar for each video, what matches filled and the rest hatched, and the links."""
        top, fine = self.rails[0], 4  # drawn larger and made small: smooth slanted lines
        size = self.width, 2 * _RAIL + _LINKS
        large = Image.new("RGB", (size[0] * fine, size[1] * fine), _GROUND)
        draw = ImageDraw.Draw(large)
        rails = [(fine * (rail - top), fine * (rail - top + _RAIL)) for rail in self.rails]
        left, right = fine * (_MARGIN + _LABEL), fine * (self.width - _MARGIN)
        for x in range(left - fine * _RAIL, right, 7 * fine):
            for upper, lower in rails:
                draw.line((x, lower, x + fine * _RAIL, upper), _QUIET, fine)
        ends = [
            [
                [fine * self._place(video, float(video.times[frame])) for frame in span]
                for span in matched_spans(matching, side)
            ]
            for side, video in enumerate(self.videos)
        ]
        for pairs in matched_parts(matching):
            (a, b), (c, d) = (
                [fine * self._place(video, float(video.times[frame])) for frame in column]
                for video, column in zip(self.videos, pairs[[0, -1]].T, strict=True)
            )
            (_, upper), (lower, _) = rails
            draw.polygon([(a, upper), (b + fine, upper), (d + fine, lower), (c, lower)], _LINKED)
        for (upper, lower), spans in zip(rails, ends, strict=True):
            draw.rectangle((0, upper, left - 1, lower), _GROUND)
            draw.rectangle((right, upper, large.width, lower), _GROUND)
            for first, last in spans:
                draw.rectangle((first, upper, last + fine, lower), _MATCH)
            draw.rectangle((left, upper, right, lower), None, _QUIET, fine)
        labels = _MARGIN + _LABEL
        small = large.resize(size, Image.Resampling.LANCZOS)
        ground.paste(small.crop((labels, 0, *size)), (labels, top))


def _dimmed(frame: Image.Image) -> Image.Image:
    """Return a frame darker and half grey."""
    grey = frame.convert("L").convert("RGB")
    return Image.blend(grey, frame, 0.5).point([round(_DIM * value) for value in range(256)] * 3)


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the font that comes with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


def _length(text: str, size: int, *, bold: bool = False) -> float:
    """Return the length of a line in pixels."""
    return _font(size, bold=bold).getlength(text)


def _fitting(room: float, size: int, *, bold: bool = False) -> Callable[[str], bool]:
    """Return whether a line is no longer than so many pixels."""
    return lambda text: _length(text, size, bold=bold) <= room
