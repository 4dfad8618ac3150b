"""The matrix of a matching as coloured cells: similarity below, probability above it."""

from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

import numpy as np
from matplotlib.colors import Colormap, Normalize
from PIL import Image

from fastsw._palette import posterior_colours, similarity_colours
from lac._matching import Matching

_CELLS = 1200  # rows or columns drawn at most
_FAINT = 0.2  # least probability that the darkest colour stands for


class Layer(NamedTuple):
    """Cells (at most 1200 a side) and how they are coloured."""

    cells: np.ndarray
    colours: Colormap
    norm: Normalize


def layers(matching: Matching) -> Iterator[Layer]:
    """Yield the similarity and the posterior, cells merged so that no more than can be seen are."""
    rows, columns = matching.similarity.shape
    merged = [_begins(length) for length in (rows, columns)]
    heights, widths = (
        np.diff(begins, append=length)
        for begins, length in zip(merged, (rows, columns), strict=True)
    )
    likely = max(_FAINT, np.ceil(10 * matching.posterior.max()) / 10)
    for cells, merge, shares, colours, limits in (
        (
            matching.similarity,
            np.add,
            np.outer(heights, widths),
            similarity_colours(),
            (None, None),
        ),
        (matching.posterior, np.maximum, 1, posterior_colours(), (0, likely)),
    ):
        for axis, begins in enumerate(merged):
            cells = merge.reduceat(cells, begins, axis)
        shown = cells / shares
        norm = Normalize(*limits)
        norm.autoscale_None(shown)
        yield Layer(shown, colours, norm)


def layer_pictures(matching: Matching) -> tuple[bytes, bytes]:
    """Return similarity and posterior as PNG, a pixel for a cell."""
    similarity, posterior = (_png(layer) for layer in layers(matching))
    return similarity, posterior


def _begins(length: int) -> np.ndarray:
    """Return where rows or columns begin when merged."""
    return np.linspace(0, length, min(length, _CELLS), endpoint=False).astype(np.int64)


def _png(layer: Layer) -> bytes:
    """Draw a layer."""
    written = BytesIO()
    pixels = layer.colours(layer.norm(layer.cells), bytes=True)
    Image.fromarray(np.asarray(pixels)).save(written, "png", optimize=True)
    return written.getvalue()
