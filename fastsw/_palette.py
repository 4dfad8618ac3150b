"""Colours of all pictures of fastsw and lac: they differ in lightness, and for every eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

INK = "#1f2933"  # lines and words
PATH = "#123c69"  # an alignment, and what it matches
POSTERIOR = "#d55e00"  # probability; the vermilion of Okabe and Ito
UNMATCHED = "#8a949e"
MASKED = "#e6ecf2"  # cells without a finite similarity
LINES = (
    ("#d55e00", "--"),
    ("#009e73", ":"),
    ("#56b4e9", "-."),
    ("#cc79a7", "--"),
    ("#1f2933", ":"),
)


def similarity_colours() -> Colormap:
    """Return greys without the darkest, so that what is laid over them can be seen."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(colormaps["Greys"](np.linspace(0.0, 0.36, 256)), "similarity")
    return colours.with_extremes(bad=MASKED)


def posterior_colours() -> Colormap:
    """Return one colour, the more opaque the more probable."""
    from matplotlib.colors import ListedColormap, to_rgba

    # Opacity grows fast at first, so that unlikely pairs can be seen.
    tints = [to_rgba(POSTERIOR, opacity) for opacity in np.linspace(0.0, 1.0, 256) ** 0.6]
    return ListedColormap(tints, "posterior").with_extremes(bad=(0, 0, 0, 0))
