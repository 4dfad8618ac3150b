"""Pictures of alignments, on matplotlib."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsw._alignment import Alignment
from fastsw._frontends.kinds import foreign_to_numpy, is_torch, refuse_special
from fastsw._palette import PATH, posterior_colours, similarity_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DOTTED = 24  # up to this many rows or columns the pairs of a path are dots
_SQUARE = 3.0  # up to this ratio of the sides cells are square
_SIDE = 4.4  # inches of the longer side in a new figure
_LARGE = 1000  # more rows or columns than this are averaged to pixels, not picked


def alignment(
    similarity: Any,
    posterior: Any = None,
    alignment: Alignment | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the similarity of one pair, with its posterior and a path laid over it.

    Parameters
    ----------
    similarity : (N, M) array
        Drawn in greys, rows downwards; cells of -inf or NaN are tinted. NumPy, torch or another
        DLPack exporter.
    posterior : (N, M) array, optional
        Probabilities in [0, 1], drawn in colour, the more opaque the more probable.
    alignment : Alignment, optional
        Drawn as a line through its pairs, dotted where it skips rows or columns.
    ax : matplotlib Axes, optional
        Where to draw. Default: a new figure, shaped like the matrix, in which nothing is cut off
        when it is saved. A figure of your own does the same with ``layout="compressed"``.

    Returns
    -------
    matplotlib Axes
        The axes drawn on; a colour bar for each matrix stands beside it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If an argument is of another kind.
    ValueError
        If `similarity` is no matrix or empty, or `posterior` or `alignment` does not fit it.

    Examples
    --------
    >>> import matplotlib, numpy as np, fastsw
    >>> matplotlib.use("Agg")
    >>> s = np.eye(4)
    >>> path = fastsw.traceback(s, gap_open=1.0, gap_extend=0.5)
    >>> fastsw.plot.alignment(s, alignment=path).get_xlabel()
    'column'
    """
    try:
        from matplotlib import pyplot
        from matplotlib.ticker import MaxNLocator
        from matplotlib.transforms import ScaledTranslation
    except ImportError as error:
        raise ImportError("fastsw.plot needs matplotlib: pip install 'fastsw[plot]'") from error

    cells = _matrix("similarity", similarity)
    layers: list[tuple[str, np.ndarray, Any, Any]] = [
        ("similarity", cells, similarity_colours(), _range(cells))
    ]
    if posterior is not None:
        shares = _matrix("posterior", posterior)
        if shares.shape != cells.shape:
            raise ValueError(
                f"`posterior` must have the shape of `similarity`, {cells.shape}, got "
                f"{shares.shape}"
            )
        layers.append(("posterior", shares, posterior_colours(), (0, 1)))
    if alignment is not None:
        _check_fits(alignment, cells.shape)
    if ax is None:
        # A layout that is not told of the square cells would cut the labels beside them off.
        _, ax = pyplot.subplots(figsize=_inches(cells.shape, bars=len(layers)), layout="compressed")

    sides = max(cells.shape) / min(cells.shape)
    for place, (name, values, colours, (low, high)) in enumerate(layers):
        drawn = ax.imshow(
            np.ma.masked_invalid(values),
            cmap=colours,
            vmin=low,
            vmax=high,
            interpolation="nearest" if max(cells.shape) <= _LARGE else "auto",
            aspect="equal" if sides <= _SQUARE else "auto",
        )
        inches = ScaledTranslation(0.1 + 0.65 * place, 0.0, ax.figure.dpi_scale_trans)
        bar = ax.inset_axes((1 + 0.04 * place, 0.0, 0.04, 1.0), transform=ax.transAxes + inches)
        ax.figure.colorbar(drawn, cax=bar, label=name)
    if alignment is not None:
        _draw_path(ax, alignment, dotted=max(cells.shape) <= _DOTTED)
    ax.set_xlabel("column")
    ax.set_ylabel("row")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(
            MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
        )
    return ax


def _matrix(name: str, value: Any) -> np.ndarray:
    """The values as a float64 matrix."""
    refuse_special(name, value)
    if is_torch(value):
        value = value.detach().cpu().double()
    elif not isinstance(value, np.ndarray) and not hasattr(value, "__dlpack__"):
        raise TypeError(
            f"`{name}` must be a NumPy array, a torch tensor or another DLPack exporter, got "
            f"{type(value).__name__}"
        )
    array = np.asarray(foreign_to_numpy(name, value))
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"`{name}` must have shape (N, M), not empty, got {array.shape}")
    return array.astype(np.float64)


def _check_fits(alignment: Alignment, shape: tuple[int, ...]) -> None:
    """Refuse what is no alignment within the matrix."""
    if not isinstance(alignment, Alignment):
        raise TypeError(
            f"`alignment` must be a fastsw.Alignment (one pair's), got {type(alignment).__name__}"
        )
    if alignment.rows.stop > shape[0] or alignment.columns.stop > shape[1]:
        raise ValueError(
            f"`alignment` must lie within the {shape} cells of `similarity`, got rows up to "
            f"{alignment.rows.stop} and columns up to {alignment.columns.stop}"
        )


def _range(values: Any) -> Any:
    """Smallest and largest finite value."""
    finite = values[np.isfinite(values)]
    return (finite.min(), finite.max()) if finite.size else (0.0, 1.0)


def _inches(shape: tuple[int, ...], *, bars: Any) -> tuple[float, float]:
    """Width and height of a figure that the matrix fills, with its labels and colour bars."""
    rows, columns = np.array(shape) / max(shape)
    least = 1 / _SQUARE
    return _SIDE * max(columns, least) + 0.8 + 0.75 * bars, _SIDE * max(rows, least) + 0.6


def _draw_path(ax: Any, alignment: Alignment, *, dotted: Any) -> None:
    """Draw each run of consecutive pairs, and dotted bridges over the gaps between them."""
    from matplotlib import patheffects

    width = 1.6 if dotted else 1.1
    style: dict[str, Any] = {"color": PATH, "linewidth": width}
    if dotted:
        style["path_effects"] = [patheffects.withStroke(linewidth=width + 1.6, foreground="white")]
    breaks = np.flatnonzero((np.diff(alignment.pairs, axis=0) != 1).any(axis=1)) + 1
    runs = np.split(alignment.pairs, breaks) if len(alignment) else []
    for before, after in pairwise(runs):
        rows, columns = np.stack([before[-1], after[0]]).T
        ax.plot(columns, rows, ":", **style)
    for run in runs:
        marker = "o" if dotted or len(run) == 1 else None
        ax.plot(*run.T[::-1], marker=marker, markersize=2.5 * width, **style)
