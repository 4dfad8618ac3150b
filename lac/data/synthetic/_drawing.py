"""Anti-aliased drawing of moving round-ended strokes, all frames of a clip at once."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """Where a camera looks in each frame.

    `centre` (T, 2) in world units, `scale` (T,) in pixels per world unit, `angle` (T,) in
    radians, `mirror` 1 or -1.
    """

    centre: np.ndarray
    scale: np.ndarray
    angle: np.ndarray
    mirror: int


class Canvas:
    """Float frames (T, S, S, 3) in [0, 1], with the world place of every pixel."""

    def __init__(self, camera: Camera, size: int):
        """Aim the camera; the frames are black."""
        grid = np.arange(size) + 0.5 - size / 2
        across, up = np.meshgrid(camera.mirror * grid, -grid)  # [S, S]
        scale = camera.scale[:, None, None]
        cos, sin = (turn(camera.angle)[:, None, None] / scale for turn in (np.cos, np.sin))
        self.x = (cos * across - sin * up + camera.centre[:, 0, None, None]).astype(np.float32)
        self.y = (sin * across + cos * up + camera.centre[:, 1, None, None]).astype(np.float32)
        self.scale = scale.astype(np.float32)
        self.frames = np.zeros((*self.x.shape, 3), np.float32)

    def fill(self, colour: np.ndarray, where: np.ndarray | None = None) -> None:
        """Paint a colour (3,) or (T, S, S, 3), over all pixels or by coverage (T, S, S)."""
        colour = colour.astype(np.float32)
        if where is None:
            self.frames[:] = colour
        else:
            self.frames += where[..., None] * (colour - self.frames)

    def stroke(
        self, start: np.ndarray, end: np.ndarray, *, radius: float, colour: np.ndarray
    ) -> None:
        """Paint a round-ended stroke between moving points (T, 2) of the world."""
        start, end = (
            np.broadcast_to(point, (len(self.x), 2)).astype(np.float32)[:, None, None]
            for point in (start, end)
        )
        along = end - start
        x, y = self.x - start[..., 0], self.y - start[..., 1]
        square = np.maximum((along**2).sum(-1), 1e-9)
        share = np.clip((x * along[..., 0] + y * along[..., 1]) / square, 0, 1)
        x -= share * along[..., 0]
        y -= share * along[..., 1]
        distance = (np.sqrt(x * x + y * y) - radius) * self.scale
        self.fill(colour, np.clip(0.5 - distance, 0, 1))

    def block(self, centre: np.ndarray, half: tuple[float, float], *, colour: np.ndarray) -> None:
        """Paint an upright rectangle about a moving centre (T, 2) of the world."""
        centre = np.broadcast_to(centre, (len(self.x), 2)).astype(np.float32)[:, None, None]
        beside = np.abs(self.x - centre[..., 0]) - half[0]
        distance = np.maximum(beside, np.abs(self.y - centre[..., 1]) - half[1]) * self.scale
        self.fill(colour, np.clip(0.5 - distance, 0, 1))
