"""Figures of a run: how two clips align, and the two side by side in step."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fastsw
from lac.data import Clip, ClipDataModule, write_video
from lac.encoder import Encoder
from lac.evaluation._crops import Crop
from lac.evaluation._representations import content, embed
from lac.losses import LacLoss, Loss

_LEAST_SIDE = 192  # pixels of a clip in the video: smaller ones are enlarged by whole numbers


def draw_figures(
    data: ClipDataModule, encoder: Encoder, loss: Loss, directory: Path, *, split: str = "val"
) -> list[Path]:
    """Draw the alignment of the first two clips of a split, whole.

    Parameters
    ----------
    data : ClipDataModule
        After `setup`.
    encoder : Encoder
        Trained.
    loss : Loss
        Its temperatures and penalties are used if it is a `LacLoss`, else that loss's defaults.
    directory : Path
        Made if it is not there.
    split : {"val", "test", "train"}
        With at least two clips.

    Returns
    -------
    list of Path
        `similarity.png`, `posterior.png` and, unless clips are features, `aligned.mp4`: the
        first clip, and the second warped onto its time.
    """
    clips = data.collection.select(split)[:2]
    lengths = [data.length(clip) for clip in clips]
    x, y = (
        torch.from_numpy(embed(encoder, content(data, Crop(clip, 0, length, length, first=True))))
        for clip, length in zip(clips, lengths, strict=True)
    )
    settings = loss if isinstance(loss, LacLoss) else LacLoss()
    similarity = x @ y.T / settings.temperature
    # What matches no better than an average pair of frames should not lengthen the alignment.
    similarity = similarity - similarity.mean()
    gap_open, gap_extend = settings.gap_open.item(), settings.gap_extend.item()
    posterior = fastsw.posterior(
        similarity,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=settings.alignment_temperature,
    )
    best = fastsw.traceback(similarity, gap_open=gap_open, gap_extend=gap_extend)
    assert isinstance(best, fastsw.Alignment)  # one pair in, one alignment out
    directory.mkdir(parents=True, exist_ok=True)
    files = [directory / name for name in ("similarity.png", "posterior.png", "aligned.mp4")]
    _matrix_figure(files[0], similarity.numpy(), best, clips, "similarity", "viridis")
    _matrix_figure(files[1], posterior.numpy(), best, clips, "probability of a pair", "magma")
    if data.source == "features":
        return files[:2]
    _aligned_video(files[2], [data.load(clip) for clip in clips], best)
    return files


def _matrix_figure(
    file: Path,
    matrix: np.ndarray,
    best: fastsw.Alignment,
    clips: tuple[Clip, ...],
    meaning: str,
    colours: str,
) -> None:
    """Draw a matrix with the best path, and phase labels along its sides if there are any."""
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap=colours, aspect="auto", interpolation="nearest")
    rows, columns = best.pairs.T
    axes.plot(columns, rows, color="white", linewidth=2.5)
    axes.plot(columns, rows, color="tab:red", linewidth=1, label="best alignment")
    _mark_phases(axes, clips)
    axes.set(xlabel=f"frame of {clips[1].name}", ylabel=f"frame of {clips[0].name}")
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))  # each label once
    axes.legend(handles.values(), handles, loc="upper right", fontsize="small", facecolor="0.5")
    figure.colorbar(image, label=meaning)
    figure.savefig(file, dpi=120)


def _mark_phases(axes: Axes, clips: tuple[Clip, ...]) -> None:
    """Draw a line where a phase of either clip begins."""
    for clip, line in zip(clips, (axes.axhline, axes.axvline), strict=True):
        if clip.phase is not None:
            for begins in np.flatnonzero(np.diff(clip.phase)) + 0.5:
                line(begins, color="white", linewidth=0.6, alpha=0.6, label="a phase begins")


def _aligned_video(file: Path, clips: list[np.ndarray], best: fastsw.Alignment) -> None:
    """Write the first clip's aligned part beside the second's, warped onto its time."""
    rows = np.arange(best.rows.start, best.rows.stop)
    columns = np.rint(best.warp(rows)).astype(np.int64)
    enlarge = max(1, -(-_LEAST_SIDE // clips[0].shape[-1]))
    pair = np.concatenate([clips[0][rows], clips[1][columns]], axis=3)
    write_video(file, pair.repeat(enlarge, 2).repeat(enlarge, 3), fps=15)
