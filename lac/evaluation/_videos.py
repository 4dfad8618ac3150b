"""The retrieval video of a run: each frame beside its nearest frames in other clips."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lac.data import write_video

_LEAST_SIDE = 192  # pixels of a clip in a video: smaller ones are enlarged by whole numbers
_NEIGHBOURS = 3  # clips beside the query
_FPS = 15


def write_retrieval_video(
    file: Path, clips: Sequence[np.ndarray], embeddings: Sequence[np.ndarray]
) -> None:
    """Write the first clip beside the nearest frames, one of each of the nearest other clips."""
    query = embeddings[0]
    nearest, similarity = [], []
    for other in embeddings[1:]:
        products = query @ other.T
        nearest.append(products.argmax(1))
        similarity.append(products.max(1))
    order = np.argsort(-np.stack(similarity), axis=0, kind="stable")[:_NEIGHBOURS]
    columns = [clips[0]]
    for place in order:
        chosen = [clips[1 + clip][nearest[clip][frame]] for frame, clip in enumerate(place)]
        columns.append(np.stack(chosen))
    _write(file, columns, fps=_FPS)


def _write(file: Path, columns: Sequence[np.ndarray], *, fps: int) -> None:
    """Write clips of equal length (T, 3, H, W) side by side."""
    enlarge = max(1, -(-_LEAST_SIDE // columns[0].shape[-1]))
    frames = np.concatenate(columns, axis=3)
    write_video(file, frames.repeat(enlarge, 2).repeat(enlarge, 3), fps=fps)
