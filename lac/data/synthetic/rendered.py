"""The rendered source: clips of a figure doing one action, drawn here and written as mp4.

The figure lifts a box, carries it and puts it down, in eight phases. Order and poses are the
same in every clip. Tempo, pauses, length, performer, colours, background, camera and things that
pass by vary, and none of them tells the phase.
"""

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path

import numpy as np

from lac._atomic import written_whole
from lac._progress import progress
from lac.data.synthetic._drawing import Camera, Canvas
from lac.data.synthetic._figure import PHASES, Body, carried, draw_script, joints, move
from lac.data.video.writing import write_video

DRAWING = 2  # raise with any change of the drawing: other clips than before go elsewhere
FPS = 15


@dataclass(frozen=True)
class Rendered:
    """What to draw.

    Parameters
    ----------
    train, val : int
        Numbers of clips, >= 1 and >= 0.
    size : int
        Side of the frames in pixels, even, >= 16.
    seed : int
        Decides everything that varies, >= 0.
    """

    train: int = 48
    val: int = 16
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.train < 1 or self.val < 0:
            raise ValueError(f"`train` must be >= 1 and `val` >= 0, got {self.train}, {self.val}")
        if self.size < 16 or self.size % 2:
            raise ValueError(f"`size` must be even and >= 16 pixels, got {self.size}")
        if self.seed < 0:
            raise ValueError(f"`seed` must be >= 0, got {self.seed}")

    @property
    def folder_name(self) -> str:
        """Name for a folder of these clips and no others."""
        return f"{self.train}-{self.val}-{self.size}px-seed{self.seed}-drawing{DRAWING}"


def render(root: str | PathLike[str], rendered: Rendered = Rendered()) -> None:
    """Draw clips into a new folder that `read_folder` reads.

    Parameters
    ----------
    root : str or path
        Folder to make. It appears when all clips are done. If it holds these very clips already,
        nothing happens.
    rendered : Rendered
        What to draw.

    Raises
    ------
    FileExistsError
        If `root` holds anything else; nothing of it is changed.
    """
    root = Path(root)
    recipe = {"drawing": DRAWING, **asdict(rendered)}
    if _holds(root, recipe):
        return
    try:
        with written_whole(root) as folder:
            _draw(folder, rendered)
            (folder / "rendered.json").write_text(json.dumps(recipe))
    except OSError:  # another process may have been faster
        if not _holds(root, recipe):
            raise


def _draw(folder: Path, rendered: Rendered) -> None:
    """Draw clips and their labels into a new folder."""
    (folder / "clips").mkdir(parents=True)
    split: dict[str, list[str]] = {"train": [], "val": []}
    clips: dict[str, dict[str, list[int]]] = {}
    for number in progress(range(rendered.train + rendered.val), "Drawing clips"):
        frames, phase = draw_clip(rendered.seed, number, size=rendered.size)
        name = f"{number:04d}"
        write_video(folder / "clips" / f"{name}.mp4", frames, fps=FPS)
        split["train" if number < rendered.train else "val"].append(name)
        clips[name] = {"phase": phase.tolist()}
    labels = {"phase_names": PHASES, "split": split, "clips": clips}
    (folder / "labels.json").write_text(json.dumps(labels))


def _holds(root: Path, recipe: dict[str, int]) -> bool:
    """Say whether a folder holds the clips of a recipe; refuse one with other content."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    made = root / "rendered.json"
    if made.is_file() and json.loads(made.read_text()) == recipe:
        return True
    raise FileExistsError(
        f"`root` must be new, empty, or hold the clips of {recipe}; got {root} with other content"
    )


def draw_clip(seed: int, number: int, *, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one clip.

    Parameters
    ----------
    seed, number : int
        Decide everything that varies, >= 0.
    size : int
        Side of the frames in pixels.

    Returns
    -------
    frames : ndarray of uint8, shape (T, 3, size, size)
        40 to 90 frames.
    phase : ndarray of int64, shape (T,)
        Index into `PHASES` of every frame.
    """
    rng = np.random.default_rng([seed, number])
    script = draw_script(rng)
    body = Body.draw(rng)
    movement = move(script, rng)
    place = joints(body, movement.angles, movement.way)
    box = carried(script, place, reach=0.05)
    return draw_scene(body, movement.way, place, box, rng, size=size), script.phase


@dataclass(frozen=True)
class View:
    """How a camera may look: world units across the picture, and tilt in radians."""

    across: tuple[float, float] = (1.15, 1.5)
    tilt: float = 0.12


def draw_scene(
    body: Body,
    way: np.ndarray,
    place: dict[str, np.ndarray],
    box: np.ndarray | None,
    rng: np.random.Generator,
    *,
    size: int,
    camera: View = View(),
    colours: np.random.Generator | None = None,
) -> np.ndarray:
    """Draw a performer in a room, uint8 (T, 3, size, size); `colours` decides those of clothes."""
    canvas = Canvas(_camera(way, size, rng, camera), size)
    _draw_room(canvas, rng)
    for _ in range(rng.integers(1, 3)):
        _draw_passer(canvas, way, rng)
    _draw_figure(canvas, body, place, box, rng if colours is None else colours)
    _draw_passer(canvas, way, rng)
    light = 1 + 0.05 * rng.standard_normal((len(way), 1, 1, 1))
    grain = rng.normal(0, 0.02, canvas.frames.shape)
    frames = np.clip(canvas.frames * light + grain, 0, 1) * 255
    return frames.round().astype(np.uint8).transpose(0, 3, 1, 2)


def _camera(way: np.ndarray, size: int, rng: np.random.Generator, view: View) -> Camera:
    """Follow the figure loosely, from a place, height, zoom and tilt of the clip's own."""
    frames = len(way)
    sway = _wander(frames, 4, rng)
    lag = rng.uniform(0.85, 1.0)
    centre = np.stack(
        [
            lag * way + rng.uniform(-0.05, 0.3) + 0.06 * sway[0],
            np.full(frames, rng.uniform(0.4, 0.6)) + 0.05 * sway[1],
        ],
        axis=1,
    )
    scale = size / rng.uniform(*view.across) * (1 + 0.06 * sway[2])
    angle = rng.uniform(-view.tilt, view.tilt) + 0.04 * sway[3]
    return Camera(centre, scale, angle, mirror=int(rng.choice([-1, 1])))


def _wander(frames: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth random paths (count, T) of about unit size that come and go."""
    waves = rng.uniform(0.02, 0.12, (count, 3, 1)) * np.arange(frames)
    paths: np.ndarray = np.sin(2 * np.pi * (waves + rng.random((count, 3, 1)))).mean(1)
    return paths


def _draw_room(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint wall and floor in two colours with a pattern each, and some things on the wall."""
    wall, floor = rng.uniform(0.2, 0.45, (2, 1)) + rng.uniform(-0.1, 0.1, (2, 3))
    pattern = np.zeros_like(canvas.x)
    for _ in range(4):
        kx, ky = rng.normal(0, 12, 2)
        pattern += np.sin(kx * canvas.x + ky * canvas.y + rng.uniform(0, 6.3))
    canvas.fill(wall + pattern[..., None] * rng.uniform(0.02, 0.05, 3))
    below = np.clip(0.5 - canvas.y * canvas.scale, 0, 1)
    canvas.fill(floor + pattern[..., None] * rng.uniform(0.02, 0.05, 3), below)
    for _ in range(rng.integers(1, 5)):
        corner = rng.uniform((-0.8, 0.1), (1.8, 1.2))
        canvas.stroke(
            corner,
            corner + rng.uniform(-0.3, 0.3, 2),
            radius=rng.uniform(0.03, 0.12),
            colour=rng.uniform(0.1, 0.55, 3),
        )


def _draw_passer(canvas: Canvas, way: np.ndarray, rng: np.random.Generator) -> None:
    """Paint something that moves through the picture again and again."""
    course = np.stack(
        [
            way + ((rng.random() + rng.uniform(0.03, 0.1) * np.arange(len(way))) % 1) * 3 - 1.3,
            rng.uniform(0.05, 1.1) + 0.1 * _wander(len(way), 1, rng)[0],
        ],
        axis=1,
    )
    course[:, 0] = 2 * way - course[:, 0] if rng.random() < 0.5 else course[:, 0]
    canvas.stroke(
        course,
        course + rng.uniform(-0.1, 0.1, 2),
        radius=rng.uniform(0.02, 0.06),
        colour=rng.uniform(0, 1, 3),
    )


def _draw_figure(
    canvas: Canvas,
    body: Body,
    place: dict[str, np.ndarray],
    box: np.ndarray | None,
    rng: np.random.Generator,
) -> None:
    """Paint the performer, far limbs first, and the box, if any, between the arms."""
    shirt, trousers, box_colour = rng.uniform(0.45, 1, (3, 3))
    shoes, hair, stand_colour = rng.uniform(0.05, 0.5, (3, 3))
    skin = rng.uniform(0.6, 1) * np.array([1, 0.8, 0.65])
    half = rng.uniform(0.05, 0.09)
    for end in () if box is None else (box[0], box[-1]):
        middle = np.array([end[0], (end[1] - 0.8 * half) / 2])
        canvas.block(middle, (1.2 * half, middle[1]), colour=stand_colour)
    sleeve = shirt if rng.random() < 0.5 else skin
    width = 0.034 * body.girth

    def limb(
        names: tuple[str, ...], colours: tuple[np.ndarray, ...], radius: float, *, shade: float
    ) -> None:
        for (start, end), colour in zip(pairwise(names), colours, strict=True):
            canvas.stroke(place[start], place[end], radius=radius, colour=shade * colour)

    def arm(side: str, shade: float) -> None:
        limb(("neck", f"{side}elbow", f"{side}hand"), (shirt, sleeve), 0.8 * width, shade=shade)
        canvas.stroke(place[f"{side}hand"], place[f"{side}hand"], radius=width, colour=shade * skin)

    def leg(side: str, shade: float) -> None:
        names = ("pelvis", f"{side}knee", f"{side}ankle", f"{side}toe")
        limb(names, (trousers, trousers, shoes), width, shade=shade)

    arm("far_", 0.65)
    leg("far_", 0.65)
    leg("", 1.0)
    canvas.stroke(place["pelvis"], place["neck"] - (0, 0.02), radius=1.9 * width, colour=shirt)
    canvas.stroke(place["neck"], place["head"], radius=0.8 * width, colour=skin)
    canvas.stroke(place["head"], place["head"], radius=body.head, colour=skin)
    canvas.stroke(
        place["head"] + (-0.01, 0.03),
        place["head"] + (-0.03, 0.03),
        radius=0.8 * body.head,
        colour=hair,
    )
    if box is not None:
        canvas.block(box, (half, 0.8 * half), colour=box_colour)
    arm("", 1.0)
