"""Draw the pictures of the documentation: ``python docs/make_figures.py``."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import fastsw
from fastsw._palette import PATH, POSTERIOR

FOLDER = Path(__file__).parent / "figures"
COLOURS = PATH, POSTERIOR


def recording(progress: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noisy samples (T, 4) of one movement, at the given progress (T,)."""
    phases = np.outer(progress, (1.0, 2.0, 3.0, 5.0)) * 2 * np.pi + (0.0, 0.5, 1.0, 2.0)
    return np.sin(phases) + 0.15 * rng.standard_normal(phases.shape)


def draw_recordings(ax: Axes, signals: list[np.ndarray], path: fastsw.Alignment) -> None:
    """Plot the first channel of both, and lines between aligned samples."""
    shifts = 1.8, -1.8
    for signal, shift, colour, name in zip(signals, shifts, COLOURS, "AB", strict=True):
        ax.plot(signal[:, 0] + shift, color=colour, linewidth=1.6)
        ax.text(-2.5, shift, name, color=colour, ha="right", va="center", weight="bold")
    a, b = (signal[:, 0] + shift for signal, shift in zip(signals, shifts, strict=True))
    for i, j in path.pairs:
        ax.plot((i, j), (a[i], b[j]), color="0.72", linewidth=0.8, zorder=0)
    ax.set_xlabel("sample")
    ax.set_yticks([])
    ax.spines[["top", "right", "left"]].set_visible(False)


def alignment_figure() -> plt.Figure:
    """Two recordings of one movement: aligned samples, and posteriors at two temperatures."""
    rng = np.random.default_rng(3)
    steady = np.linspace(0.0, 1.0, 40)
    # The other one starts later in the movement, rests in its middle and goes on faster.
    resting = np.concatenate(
        (np.linspace(0.2, 0.5, 15), np.full(8, 0.5), np.linspace(0.5, 1.2, 21))
    )
    signals = [recording(steady, rng), recording(resting, rng)]
    distance = ((signals[0][:, None] - signals[1][None]) ** 2).sum(axis=2)
    similarity = 3.0 - distance
    penalties = {"gap_open": 1.0, "gap_extend": 0.2}
    path = fastsw.traceback(similarity, **penalties)

    figure, axes = plt.subplots(
        1, 3, figsize=(12.5, 3.7), layout="compressed", width_ratios=(0.85, 1.0, 1.0)
    )
    draw_recordings(axes[0], signals, path)
    axes[0].set_title("A and B, best path")
    for ax, temperature, line in zip(axes[1:], (2.0, 0.3), (None, path), strict=True):
        posterior = fastsw.posterior(similarity, temperature=temperature, **penalties)
        fastsw.plot.alignment(similarity, posterior, line, ax=ax)
        ax.set_title(f"posterior, temperature {temperature}")
        ax.set_ylabel("sample of A")
        ax.set_xlabel("sample of B")
    return figure


def largest_states(similarity: np.ndarray, opened: float, extended: float) -> np.ndarray:
    """log2 of the sum of the three forward states of each cell, local mode, T = 1."""
    rows, columns = similarity.shape
    m, x, y = np.full((3, rows + 1, columns + 1), -np.inf)
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            before = (0.0, m[i - 1, j - 1], x[i - 1, j - 1], y[i - 1, j - 1])
            m[i, j] = similarity[i - 1, j - 1] + np.logaddexp.reduce(before)
            x[i, j] = np.logaddexp(m[i, j - 1] - opened, x[i, j - 1] - extended)
            down = np.logaddexp(m[i - 1, j], x[i - 1, j]) - opened
            y[i, j] = np.logaddexp(down, y[i - 1, j] - extended)
    return np.logaddexp.reduce([m, x, y])[1:, 1:] / np.log(2)


def range_figure() -> plt.Figure:
    """The states of a cell over a matrix, and the window of a float that each block has."""
    size, row, block, head = 160, 90, 8, 24
    rng = np.random.default_rng(5)
    similarity = rng.standard_normal((size, size)) - 1.5
    similarity[np.arange(40, 130), np.arange(30, 120)] += 5.5
    states = largest_states(similarity * 2.0, 2.0, 0.2)
    figure, axes = plt.subplots(
        1, 2, figsize=(12.5, 3.9), layout="compressed", width_ratios=(0.8, 1.6)
    )
    image = axes[0].imshow(states, cmap="viridis", interpolation="nearest")
    figure.colorbar(image, ax=axes[0], label="log2 of m + x + y")
    axes[0].axhline(row, color=PATH, linewidth=1.2)
    axes[0].set(xlabel="column", ylabel="row", title="forward states of a pair")
    axes[1].plot(states[row], color=PATH, linewidth=1.4, label=f"row {row}")
    for first in range(0, size, block):
        # What can reach the block's columns: its row and so many rows above, up to its first.
        near = states[row - block : row + 1, max(first - block, 0) : first + 1]
        unit = near.max() - head
        span = (first - 0.5, first + block - 0.5)
        axes[1].fill_between(span, unit - 126, unit + 80, color=POSTERIOR, alpha=0.25, linewidth=0)
        axes[1].hlines(unit + head, *span, color=POSTERIOR, linewidth=2)
    axes[1].set(xlabel="column", ylabel="log2", title="blocks of 8 columns, each with one exponent")
    axes[1].set_xlim(-0.5, size - 0.5)
    axes[1].legend(loc="lower right", frameon=False)
    return figure


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for name, figure in (("alignment", alignment_figure()), ("range", range_figure())):
        figure.savefig(FOLDER / f"{name}.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
