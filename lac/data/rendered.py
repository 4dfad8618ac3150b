"""The rendered source: clips of a figure doing one action, drawn here and written as mp4."""

import json
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from lac.data._video import write_video

PHASES = ("stand", "crouch", "reach", "lift", "carry", "place", "step_back", "rest")


@dataclass(frozen=True)
class Rendered:
    """What to draw.

    Parameters
    ----------
    train, val : int
        Numbers of clips, >= 1 and >= 0.
    size : int
        Side of the frames in pixels, even.
    seed : int
        Decides everything that varies.
    """

    train: int = 48
    val: int = 16
    size: int = 72
    seed: int = 0


def render(root: str | PathLike, rendered: Rendered = Rendered()) -> None:
    """Draw clips into a folder that `read_folder` reads; leave it alone if they are there."""
    root = Path(root)
    made = root / "rendered.json"
    if made.exists() and json.loads(made.read_text()) == asdict(rendered):
        return
    (root / "clips").mkdir(parents=True, exist_ok=True)
    labels: dict = {"phase_names": PHASES, "split": {"train": [], "val": []}, "clips": {}}
    for number in range(rendered.train + rendered.val):
        rng = np.random.default_rng([rendered.seed, number])
        phase = np.repeat(np.arange(len(PHASES)), rng.integers(4, 10, len(PHASES)))
        frames = np.full((len(phase), 3, rendered.size, rendered.size), 40, np.uint8)
        for t, p in enumerate(phase):
            frames[t, :, 8 * p : 8 * p + 8] = 200
        name = f"{number:04d}"
        write_video(root / "clips" / f"{name}.mp4", frames)
        labels["split"]["train" if number < rendered.train else "val"].append(name)
        labels["clips"][name] = {"phase": phase.tolist()}
    (root / "labels.json").write_text(json.dumps(labels))
    made.write_text(json.dumps(asdict(rendered)))
