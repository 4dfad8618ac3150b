"""How the rendered figure moves: a script of phases, poses between them, joints in the world.

World coordinates are in units of about the figure's height; x points ahead, y up from the floor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

# Angles in radians: trunk and head from upright, upper arm and thigh from hanging, forward
# positive; elbow and knee as flexion. Near limbs first, far limbs second.
ANGLES = (
    "trunk",
    "head",
    *("shoulder", "elbow", "far_shoulder", "far_elbow"),
    *("hip", "knee", "far_hip", "far_knee"),
)
FINAL_POSE = MappingProxyType(
    {
        "stand": (0.02, 0.0, 0.05, 0.15, -0.05, 0.15, 0.05, 0.05, -0.05, 0.05),
        "crouch": (0.55, 0.3, 0.1, 0.3, 0.25, 0.3, 1.55, 2.25, 1.2, 2.1),
        "reach": (1.1, 0.5, 0.9, 0.05, 0.8, 0.1, 1.5, 2.1, 1.15, 2.0),
        "lift": (-0.05, 0.0, 0.55, 1.15, 0.5, 1.2, 0.1, 0.1, -0.1, 0.1),
        "carry": (-0.08, 0.0, 0.55, 1.15, 0.5, 1.2, 0.05, 0.1, -0.05, 0.1),
        "place": (0.25, 0.2, 2.0, 0.1, 1.95, 0.15, 0.4, 0.3, -0.3, 0.1),
        "step_back": (-0.05, 0.0, 0.2, 0.5, -0.2, 0.5, 0.0, 0.1, 0.0, 0.1),
        "rest": (0.1, 0.4, -0.75, 1.75, -0.65, 1.7, 0.25, 0.3, -0.1, 0.05),
    }
)
PHASES = tuple(FINAL_POSE)
TYPICAL_FRAMES = (7, 6, 6, 6, 9, 7, 8, 7)  # per phase
WALK = MappingProxyType({"carry": 1.0, "step_back": -0.7})  # direction and length of the way
FRAMES = (40, 90)  # fewest and most frames of a clip


@dataclass(frozen=True)
class Script:
    """Which of its steps each frame belongs to and how far it has come: both shape (T,)."""

    phase: np.ndarray
    progress: np.ndarray
    steps: tuple[str, ...] = PHASES


def draw_script(
    rng: np.random.Generator,
    steps: tuple[str, ...] = PHASES,
    *,
    typical: Sequence[int] = TYPICAL_FRAMES,
    tempo_spread: float = 0.2,
) -> Script:
    """Draw tempo and pauses of a clip, until its length is one of those allowed."""
    while True:
        tempo = rng.lognormal(0, tempo_spread) * rng.lognormal(0, 0.6, len(steps))
        moving = np.maximum(3, np.rint(tempo * typical)).astype(np.int64)
        pause = rng.integers(3, 12, len(steps)) * (rng.random(len(steps)) < 0.25)
        if FRAMES[0] <= moving.sum() + pause.sum() <= FRAMES[1]:
            break
    progress = []
    for count, held in zip(moving.tolist(), pause.tolist(), strict=True):
        at = int(rng.integers(count))
        path = np.arange(1, count + 1) / count
        progress.append(np.insert(path, at, np.full(held, path[at])))
    numbers = np.repeat(np.arange(len(steps)), moving + pause)
    return Script(numbers, np.concatenate(progress), steps)


@dataclass(frozen=True)
class Movement:
    """What a performer does in every frame.

    `angles` (T, 10); `way` (T,) walked; `done` (T,), the share of the step's movement that is
    behind it: two frames of one step with the same share show the same pose.
    """

    angles: np.ndarray
    way: np.ndarray
    done: np.ndarray


def move(
    script: Script,
    rng: np.random.Generator,
    poses: Mapping[str, Sequence[float]] = FINAL_POSE,
) -> Movement:
    """Move a drawn performer from pose to pose."""
    steps = script.steps
    habit = rng.normal(0, 0.08, (len(steps), len(ANGLES)))
    final = np.array([poses[step] for step in steps]) + habit
    initial = np.concatenate([final[:1], final[:-1]])
    arrival = rng.uniform(0.5, 0.9, len(steps))[script.phase]
    done = np.clip(script.progress / arrival, 0, 1)
    eased = (done * done * (3 - 2 * done))[:, None]
    angles = (1 - eased) * initial[script.phase] + eased * final[script.phase]
    way = np.zeros(len(script.phase))
    for name, distance in WALK.items():
        if name not in steps:
            continue
        index = steps.index(name)
        here = script.phase == index
        strides = rng.integers(1, 3)
        stride = 2 * np.pi * strides * script.progress[here]
        swing = 0.5 * np.sin(stride)
        angles[here, 6:] += np.stack(
            [
                swing,
                0.6 * np.clip(np.cos(stride), 0, 1),
                -swing,
                0.6 * np.clip(-np.cos(stride), 0, 1),
            ],
            axis=1,
        )
        length = 0.45 * strides * distance
        way[here] += length * script.progress[here]
        way[script.phase > index] += length
        done[here] = script.progress[here]  # a walk goes on to the end
    angles += rng.normal(0, 0.02, angles.shape)
    return Movement(angles, way, done)


@dataclass(frozen=True)
class Body:
    """Lengths of a performer's parts, in world units."""

    trunk: float
    head: float
    arm: float
    leg: float
    girth: float
    turn: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Body":
        """Draw proportions, and `turn`, the foreshortening of x by the performer's heading."""
        return cls(
            trunk=rng.uniform(0.29, 0.36),
            head=rng.uniform(0.065, 0.085),
            arm=rng.uniform(0.16, 0.19),
            leg=rng.uniform(0.2, 0.25),
            girth=rng.uniform(0.8, 1.25),
            turn=rng.uniform(0.75, 1.0),
        )


def joints(body: Body, angles: np.ndarray, way: np.ndarray) -> dict[str, np.ndarray]:
    """Return the places of all joints, each (T, 2), with the lower foot on the floor."""
    trunk, head, shoulder, elbow, far_shoulder, far_elbow, hip, knee, far_hip, far_knee = angles.T
    legs = {"": (hip, knee), "far_": (far_hip, far_knee)}
    arms = {"": (shoulder, elbow), "far_": (far_shoulder, far_elbow)}
    drop = [body.leg * (np.cos(h) + np.cos(h - k)) for h, k in legs.values()]
    pelvis = np.stack([way, np.maximum(*drop) + 0.03], axis=1)
    neck = pelvis + body.trunk * _direction(trunk, up=1)
    place = {
        "pelvis": pelvis,
        "neck": neck,
        "head": neck + 1.5 * body.head * _direction(trunk * 0.5 + head, up=1),
    }
    for side, (upper, flexion) in legs.items():
        place[side + "knee"] = pelvis + body.leg * _direction(upper, up=-1)
        place[side + "ankle"] = place[side + "knee"] + body.leg * _direction(upper - flexion, up=-1)
        place[side + "toe"] = place[side + "ankle"] + (0.09, -0.01)
    for side, (upper, flexion) in arms.items():
        place[side + "elbow"] = neck + (0, -0.03) + body.arm * _direction(upper, up=-1)
        place[side + "hand"] = place[side + "elbow"] + body.arm * _direction(upper + flexion, up=-1)
    for joint in place.values():
        joint[:, 0] = way + (joint[:, 0] - way) * body.turn
    return place


def carried(script: Script, place: dict[str, np.ndarray], reach: float) -> np.ndarray:
    """Return the centre of the box (T, 2): on the floor, in the hands, then where it was put."""
    hands = (place["hand"] + place["far_hand"]) / 2 + (reach, 0)
    first = int(np.argmax(script.phase == script.steps.index("lift")))
    last = int(np.flatnonzero(script.phase == script.steps.index("place"))[-1])
    box: np.ndarray = hands.copy()
    box[:first] = hands[first - 1]
    box[last:] = hands[last]
    return box


def _direction(angle: np.ndarray, *, up: int) -> np.ndarray:
    """Return unit vectors (T, 2) at an angle from the vertical, forward positive."""
    return np.stack([np.sin(angle), up * np.cos(angle)], axis=1)
