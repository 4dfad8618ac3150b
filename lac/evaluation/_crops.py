"""The protocol: which clips are cropped how, and what is measured on the crops."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

import numpy as np

from lac.data import Clip
from lac.evaluation._record import ProtocolRecord

Classifier = Literal["logistic", "logistic_plain", "svm"]


@dataclass(frozen=True)
class Protocol:
    """How embeddings are evaluated.

    Every clip is seen through random temporal crops, the same for every representation, so that
    a frame's place in its crop does not tell its phase.

    Parameters
    ----------
    crops : int
        Crops of every clip, >= 1. Retrieval and Kendall's tau use the first of each.
    min_crop : float
        Shortest crop as a share of the clip, in (0, 1]; lengths and starts are uniform.
    fractions : tuple of float
        Shares of the labelled training clips that the classifier is given, in (0, 1].
    draws : tuple of int
        How many draws of clips are averaged for each fraction.
    neighbours : tuple of int
        K of the precision at K; none leaves it out.
    classifier : {"logistic", "logistic_plain", "svm"}
        What tells phases; see `lac.evaluation.metrics.phase_accuracy`.
    tau_stride : int
        Every so many-th frame has a part in Kendall's tau and in retrieval, >= 1.
    seed : int
        Decides crops and draws, >= 0.
    """

    crops: int = 2
    min_crop: float = 0.5
    fractions: tuple[float, ...] = (0.1, 0.5, 1.0)
    draws: tuple[int, ...] = (3, 2, 1)
    neighbours: tuple[int, ...] = (5, 10, 15)
    classifier: Classifier = "logistic"
    tau_stride: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.crops < 1:
            raise ValueError(f"`crops` must be >= 1, got {self.crops}")
        if not 0 < self.min_crop <= 1:
            raise ValueError(f"`min_crop` must be in (0, 1], got {self.min_crop}")
        if not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ValueError(f"`fractions` must be in (0, 1], got {self.fractions}")
        for name in ("draws", "neighbours"):
            if not all(value >= 1 for value in getattr(self, name)):
                raise ValueError(f"`{name}` must be >= 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"`seed` must be >= 0, got {self.seed}")
        if len(self.draws) != len(self.fractions):
            raise ValueError(f"`draws` must be one per fraction, got {self.draws}")
        if self.classifier not in get_args(Classifier):
            raise ValueError(
                f"`classifier` must be one of {get_args(Classifier)}, got {self.classifier!r}"
            )
        if self.tau_stride < 1:
            raise ValueError(f"`tau_stride` must be >= 1, got {self.tau_stride}")

    def record(self) -> ProtocolRecord:
        """Return the name, `"custom"` for none of `PROTOCOLS`, and all settings."""
        names = [name for name, protocol in PROTOCOLS.items() if protocol == self]
        name = names[0] if names else "custom"
        return cast(ProtocolRecord, {"name": name, **asdict(self)})


# Whole clips are what papers have measured: where all clips are about as long, a frame's place
# tells much of its phase. CARL: logistic regression on plain features, stride 5 (2 for Penn
# Action), precision under the name AP. TCC: an RBF-kernel SVM, no retrieval. Both evaluate each
# action of Penn Action alone and average over actions. Not as there: a fraction of the training
# clips is drawn, where they take the first; precision is averaged over frames, not first over
# those of a clip; a constant answer's tau counts as 0, not left out; progression is measured from
# the first frame of a phase, not from the last of the phase before, given all training clips.
_WHOLE: dict[str, Any] = {"crops": 1, "min_crop": 1.0, "draws": (1, 1, 1), "tau_stride": 5}
PROTOCOLS = {
    "ours": Protocol(),
    "carl": Protocol(**_WHOLE, classifier="logistic_plain"),
    "tcc": Protocol(**_WHOLE, classifier="svm", neighbours=()),
}
DEFAULT_PROTOCOL = PROTOCOLS["ours"]


@dataclass(frozen=True, eq=False)
class Crop:
    """Frames `start` to `stop` of a clip of `length` frames."""

    clip: Clip
    start: int
    stop: int
    length: int
    first: bool  # the clip's first crop

    @property
    def phase(self) -> np.ndarray:
        """Labels of the frames, (stop - start,) int64."""
        assert self.clip.phase is not None
        return self.clip.phase[self.start : self.stop]


def draw_crops(clips: Sequence[Clip], lengths: Sequence[int], protocol: Protocol) -> list[Crop]:
    """Draw the crops of clips; those of a clip depend on its name and the seed alone."""
    crops = []
    for clip, length in zip(clips, lengths, strict=True):
        rng = np.random.default_rng([protocol.seed, *clip.name.encode()])
        for number in range(protocol.crops):
            shortest = min(length, max(2, int(np.ceil(protocol.min_crop * length))))
            size = int(rng.integers(shortest, length, endpoint=True))
            start = int(rng.integers(0, length - size, endpoint=True))
            crops.append(Crop(clip, start, start + size, length, first=number == 0))
    return crops
