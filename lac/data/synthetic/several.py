"""Clips of several performers, drawn: where videos of one procedure differ most.

Two procedures are shown, one in each clip: the box is lifted, carried and put down, or a shelf is
wiped. Performers differ in their bodies, clothes and tempo, cameras in where and how they look.
Some steps may be missing from a clip, and some that belong to neither procedure may come between.
Performers of training clips are in no other. `labels.json` tells for every frame the phase and how
far its movement has come: frames of one phase and equal progress show the same pose.
"""

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType

import numpy as np

from lac._atomic import written_whole
from lac._progress import progress
from lac.data.synthetic._figure import (
    FINAL_POSE,
    PHASES,
    TYPICAL_FRAMES,
    Body,
    carried,
    draw_script,
    joints,
    move,
)
from lac.data.synthetic.rendered import FPS, View, draw_scene
from lac.data.video.writing import write_video

_WIPE = {
    "approach": (0.05, 0.0, 0.1, 0.2, -0.1, 0.2, 0.1, 0.1, -0.1, 0.1),
    "take_cloth": (0.5, 0.3, 0.7, 0.2, 0.1, 0.3, 0.5, 0.6, -0.1, 0.3),
    "wipe_high": (0.0, -0.2, 2.6, 0.2, 0.1, 0.3, 0.1, 0.1, -0.1, 0.1),
    "wipe_middle": (0.2, 0.0, 1.6, 0.1, 0.2, 0.3, 0.1, 0.2, -0.2, 0.1),
    "wipe_low": (0.9, 0.4, 1.2, 0.1, 0.4, 0.3, 1.1, 1.6, 0.8, 1.5),
    "wring": (0.15, 0.4, 0.9, 1.2, 0.9, 1.2, 0.1, 0.1, -0.1, 0.1),
    "hang_up": (-0.1, -0.3, 2.2, 0.6, 2.1, 0.7, 0.1, 0.1, -0.1, 0.1),
}
_BETWEEN = {
    "wave": (0.0, -0.1, 2.9, 0.9, -0.05, 0.15, 0.05, 0.05, -0.05, 0.05),
    "stretch": (-0.25, -0.3, -0.5, 0.3, -0.5, 0.3, 0.1, 0.2, -0.1, 0.2),
}
POSES = MappingProxyType({**FINAL_POSE, **_WIPE, **_BETWEEN})
NAMES = tuple(POSES)
PROCEDURES = MappingProxyType({"carry": PHASES, "wipe": (*_WIPE, "rest")})
_OPTIONAL = {"crouch", "carry", "step_back", "rest", "approach", "wipe_middle", "wring"}
_MISSING, _EXTRA = 0.25, 0.3  # probabilities: of an optional step, of one between two steps
_TYPICAL = dict(zip(PHASES, TYPICAL_FRAMES, strict=True))
_FRAMES = 7  # of other steps
_VIEW = View(across=(1.2, 2.2), tilt=0.3)


@dataclass(frozen=True)
class Several:
    """What to draw.

    Parameters
    ----------
    train, val : int
        Numbers of clips, >= 1 and >= 0; the procedures take turns.
    performers : int
        How many there are in each split, >= 1.
    size : int
        Side of the frames in pixels, even, >= 16.
    seed : int
        Decides everything that varies, >= 0.
    """

    train: int = 96
    val: int = 32
    performers: int = 6
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the parameters."""
        for name, least in (("train", 1), ("val", 0), ("performers", 1), ("size", 16), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be >= {least}, got {getattr(self, name)}")
        if self.size % 2:
            raise ValueError(f"`size` must be even, got {self.size}")


@dataclass(frozen=True)
class Drawn:
    """A clip: frames uint8 (T, 3, S, S), phase (T,) by place in `NAMES`, and progress (T,)."""

    frames: np.ndarray
    phase: np.ndarray
    progress: np.ndarray
    action: str


def render_several(root: str | PathLike[str], several: Several = Several()) -> None:
    """Draw clips into a new folder that `read_folder` reads.

    Raises
    ------
    OSError
        If `root` is there already.
    """
    split: dict[str, list[str]] = {"train": [], "val": []}
    clips = {}
    with written_whole(Path(root)) as folder:
        (folder / "clips").mkdir(parents=True)
        for number in progress(range(several.train + several.val), "Drawing clips"):
            part = "train" if number < several.train else "val"
            drawn = draw_clip(several, number)
            name = f"{number:04d}"
            write_video(folder / "clips" / f"{name}.mp4", drawn.frames, fps=FPS)
            split[part].append(name)
            clips[name] = {
                "phase": drawn.phase.tolist(),
                "progress": drawn.progress.round(6).tolist(),
                "action": drawn.action,
            }
        labels = {"phase_names": NAMES, "split": split, "clips": clips}
        (folder / "labels.json").write_text(json.dumps(labels))


def draw_clip(several: Several, number: int) -> Drawn:
    """Draw one clip; the number, the seed and how many train decide all of it."""
    rng = np.random.default_rng([several.seed, number])
    action = tuple(PROCEDURES)[number % len(PROCEDURES)]
    person = int(rng.integers(several.performers))
    person += several.performers * (number >= several.train)
    performer = np.random.default_rng([several.seed, person, 1])  # the same in each of their clips
    body = _draw_body(performer)
    steps = _draw_steps(PROCEDURES[action], rng)
    script = draw_script(
        rng, steps, typical=[_TYPICAL.get(step, _FRAMES) for step in steps], tempo_spread=0.35
    )
    movement = move(script, rng, POSES)
    place = joints(body, movement.angles, movement.way)
    box = carried(script, place, reach=0.05) if action == "carry" else None
    frames = draw_scene(
        body,
        movement.way,
        place,
        box,
        rng,
        size=several.size,
        camera=_VIEW,
        colours=performer,
    )
    phase = np.array([NAMES.index(step) for step in steps])[script.phase]
    return Drawn(frames, phase, movement.done, action)


def _draw_body(rng: np.random.Generator) -> Body:
    """Draw proportions, from a child's to a giant's."""
    height = rng.uniform(0.7, 1.15)
    return Body(
        trunk=height * rng.uniform(0.27, 0.38),
        head=rng.uniform(0.06, 0.09),
        arm=height * rng.uniform(0.15, 0.2),
        leg=height * rng.uniform(0.19, 0.26),
        girth=rng.uniform(0.7, 1.5),
        turn=rng.uniform(0.7, 1.0),
    )


def _draw_steps(procedure: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    """Leave steps out, and put others between."""
    steps: list[str] = []
    between = list(_BETWEEN)
    rng.shuffle(between)
    for step in procedure:
        missing = rng.random() < _MISSING
        if step in _OPTIONAL and missing:
            continue
        if steps and between and rng.random() < _EXTRA / 2:
            steps.append(between.pop())
        steps.append(step)
    return tuple(steps)
