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


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    alignment_figure().savefig(FOLDER / "alignment.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
