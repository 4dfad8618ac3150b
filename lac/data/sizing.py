"""Own videos: what their headers tell, and the settings of training that fit them.

The settings were chosen by measurement on clips of about 75 frames, see docs/results/own.md; other
clips are brought near to that: of long ones every so many frames are taken, of few ones more views
in an epoch.
"""

import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from math import ceil
from statistics import median

from lac.data.clip import Collection
from lac.data.video.header import Header, read_header

_RATE = 30  # frames a second: faster cameras tell no more of what people do
_LENGTH = 256  # frames of the median clip: beyond it the loss sees too little of a movement
_VIEW = 64
_BATCH = 8
_EPOCHS = 40
_LEAST_STEPS = 1000
_VISITS_A_CLIP = 40  # at least, over the whole of training
_FEATURES = 24_000  # frames that go through the frozen network: some seven minutes of one core
_COPIES = 4


@dataclass(frozen=True)
class Survey:
    """What the headers of a collection's videos tell.

    Attributes
    ----------
    train, val : tuple of Header
        Of the clips of these splits that can be opened.
    unreadable : dict of str to str
        The files that cannot, and why.
    """

    train: tuple[Header, ...]
    val: tuple[Header, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> tuple[Header, ...]:
        """Of all clips."""
        return self.train + self.val

    def describe(self) -> str:
        """Say in a line what was seen: duration, frame rate, size of the picture."""
        seconds = [header.seconds for header in self.headers]
        rates = Counter(round(header.rate) for header in self.headers)
        sizes = Counter(f"{header.width} x {header.height}" for header in self.headers)
        return (
            f"{min(seconds):.1f} to {max(seconds):.1f} s long, {_commonest(rates)} frames a second,"
            f" {_commonest(sizes)} pixels"
        )


@dataclass(frozen=True)
class Sizing:
    """Settings of training that follow from a survey; their names are those of the command line.

    Attributes
    ----------
    every, frames, batch_size, pairs_per_clip, feature_copies : int
        Of `lac.data.ClipDataModule`.
    max_epochs : int
        Of the trainer.
    """

    every: int
    frames: int
    batch_size: int
    pairs_per_clip: int
    feature_copies: int
    max_epochs: int = _EPOCHS

    def steps(self, clips: int) -> int:
        """Return the steps of training on so many clips."""
        return self.max_epochs * ceil(clips * self.pairs_per_clip / self.batch_size)

    def arguments(self) -> list[str]:
        """Return them as words of a command line."""
        settings = asdict(self)
        epochs = settings.pop("max_epochs")
        return [
            *(f"--data.{name}={value}" for name, value in settings.items()),
            f"--trainer.max_epochs={epochs}",
        ]


def survey(collection: Collection) -> Survey:
    """Open every video of a collection, without decoding any.

    Raises
    ------
    ValueError
        If there is no training clip that can be opened.
    """
    unreadable: dict[str, str] = {}
    headers: dict[str, list[Header]] = {"train": [], "val": []}
    for clip in collection.clips:
        try:
            header = read_header(clip.path)
        except (ValueError, OSError) as error:
            unreadable[os.fspath(clip.path)] = str(error)
        else:
            headers.setdefault(clip.split, []).append(header)
    if not headers["train"]:
        reasons = "; ".join(unreadable.values()) or "the split names no clip for it"
        raise ValueError(f"`root` must hold a video to train on, got none that opens: {reasons}")
    return Survey(tuple(headers["train"]), tuple(headers["val"]), unreadable)


def size(seen: Survey) -> Sizing:
    """Choose settings of training for what was seen.

    Examples
    --------
    >>> size(Survey((Header(75, 3.0, 640, 480),) * 16))  # doctest: +NORMALIZE_WHITESPACE
    Sizing(every=1, frames=64, batch_size=8, pairs_per_clip=13, feature_copies=4, max_epochs=40)
    """
    count = len(seen.train)
    every = max(
        1,
        round(median(header.rate for header in seen.headers) / _RATE),
        ceil(median(header.frames for header in seen.headers) / _LENGTH),
    )
    kept = [max(2, header.frames // every) for header in seen.headers]
    visits = max(_VISITS_A_CLIP, ceil(_LEAST_STEPS * _BATCH / count))
    copies = _FEATURES // sum(kept) - 1
    return Sizing(
        every=every,
        frames=max(8, min(_VIEW, 8 * ceil(max(kept) / 8))),
        batch_size=_BATCH,
        pairs_per_clip=ceil(visits / _EPOCHS),
        feature_copies=min(_COPIES, max(1, copies)),
    )


def _commonest(counts: Counter[int] | Counter[str]) -> str:
    """Return the most frequent value, and that there are others."""
    (value, _), *others = counts.most_common()
    return f"{value}" + (" (and others)" if others else "")
