"""Figures of a run: how two clips align, and how the embeddings of clips lie."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

import fastsw
from fastsw._palette import INK, PATH, posterior_colours, similarity_colours
from lac._matching import Matching, match
from lac.data import Clip, ClipDataModule
from lac.encoder import Encoder
from lac.evaluation._crops import Crop
from lac.evaluation._representations import content, embed
from lac.evaluation._videos import write_retrieval_video
from lac.losses import Loss
from lac.pictures import Shown, write_side_by_side

_SHOWN = 8  # clips in the figure of embeddings and the gallery of the retrieval video
_FPS = 15  # of the aligned clips
_BEGINS = "a phase begins"
# Ever lighter, but not so light that it is lost on white.
_PROGRESS = ListedColormap(colormaps["viridis"](np.linspace(0, 0.92, 256)), "progress")


def draw_figures(
    data: ClipDataModule, encoder: Encoder, loss: Loss, directory: Path, *, split: str = "val"
) -> list[Path]:
    """Draw how the first clips of a split (of one action) lie, and the first two aligned, whole.

    Parameters
    ----------
    data : ClipDataModule
        After `setup`.
    encoder : Encoder
        Trained.
    loss : Loss
        Whose temperatures and penalties are used; the alignment is that of `lac.align`.
    directory : Path
        Made if it is not there.
    split : {"val", "test", "train"}
        With at least two clips.

    Returns
    -------
    list of Path
        `similarity.png`, `posterior.png`, `embedding.png` and, unless clips are features,
        `aligned.mp4`, the first clip and beside it the second, in step where they match, and
        `retrieval.mp4`, each frame of the first clip and the nearest frames of three others.
    """
    clips = _shown(data, split)
    embeddings = _embed_clips(data, encoder, clips)
    matching = match(embeddings[0], embeddings[1], loss=loss)
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for name, figure in _make(clips, embeddings, matching).items():
        files.append(directory / f"{name}.png")
        figure.savefig(files[-1], dpi=120)
    if data.source != "features":
        files.append(directory / "aligned.mp4")
        a, b = (
            Shown(clip.name, np.arange(data.length(clip)) / _FPS, data.load(clip))
            for clip in clips[:2]
        )
        write_side_by_side(files[-1], matching, a, b)
        files.append(directory / "retrieval.mp4")
        write_retrieval_video(files[-1], [data.load(clip) for clip in clips], embeddings)
    return files


def make_figures(
    data: ClipDataModule, encoder: Encoder, loss: Loss, *, split: str = "val"
) -> dict[str, Figure]:
    """Return the figures `similarity`, `posterior` and `embedding`, as `draw_figures` does."""
    clips = _shown(data, split)
    embeddings = _embed_clips(data, encoder, clips)
    return _make(clips, embeddings, match(embeddings[0], embeddings[1], loss=loss))


def _shown(data: ClipDataModule, split: str) -> Sequence[Clip]:
    """Return the first clips of the first action."""
    return next(iter(data.collection.comparable(split).values()))[:_SHOWN]


def _embed_clips(data: ClipDataModule, encoder: Encoder, clips: Sequence[Clip]) -> list[np.ndarray]:
    """Return the embeddings (T, D) of whole clips."""
    whole = [Crop(clip, 0, data.length(clip), data.length(clip), first=True) for clip in clips]
    return [embed(encoder, content(data, crop)) for crop in whole]


def _make(
    clips: Sequence[Clip], embeddings: Sequence[np.ndarray], matching: Matching
) -> dict[str, Figure]:
    """Draw the three figures."""
    return {
        "similarity": _matrix_figure(
            matching.similarity,
            matching.alignment,
            clips[:2],
            "similarity (cosine / temperature, less its mean)",
            similarity_colours(),
        ),
        "posterior": _matrix_figure(
            matching.posterior,
            matching.alignment,
            clips[:2],
            "probability that frames are paired",
            posterior_colours(),
        ),
        "embedding": _embedding_figure(clips, embeddings),
    }


def _embedding_figure(clips: Sequence[Clip], embeddings: Sequence[np.ndarray]) -> Figure:
    """Draw the frames of clips along the two main axes of their embeddings."""
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    axes = figure.subplots()
    everything = np.concatenate(embeddings)
    axis = PCA(2, random_state=0).fit(everything)
    labelled = all(clip.phase is not None for clip in clips)
    for z in embeddings:
        axes.plot(*axis.transform(z).T, color="0.8", linewidth=0.6, zorder=1)
    colour = np.concatenate(
        [
            clip.phase if labelled and clip.phase is not None else np.linspace(0, 1, len(z))
            for clip, z in zip(clips, embeddings, strict=True)
        ]
    )
    x, y = axis.transform(everything).T
    if labelled and colour.max() < 10:  # a colour for each phase, with its number beside it
        phases = int(colour.max()) + 1
        colours = _PROGRESS.resampled(phases)
        points = axes.scatter(
            x, y, c=colour, cmap=colours, vmin=-0.5, vmax=phases - 0.5, s=8, zorder=2
        )
        figure.colorbar(points, label="phase", ticks=range(phases))
    else:
        points = axes.scatter(x, y, c=colour, cmap=_PROGRESS, s=8, zorder=2)
        figure.colorbar(points, label="phase" if labelled else "place in the clip")
    share = axis.explained_variance_ratio_
    axes.set(
        xlabel=f"first principal axis, {share[0]:.0%} of variance",
        ylabel=f"second principal axis, {share[1]:.0%} of variance",
        title=f"frames of {len(clips)} clips",
    )
    return figure


def _matrix_figure(
    matrix: np.ndarray,
    alignment: fastsw.Alignment,
    clips: Sequence[Clip],
    meaning: str,
    colours: Colormap,
) -> Figure:
    """Draw a matrix with the path of the alignment, and where phases begin along its sides."""
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap=colours, aspect="auto", interpolation="nearest")
    rows, columns = alignment.pairs.T
    halo = [patheffects.withStroke(linewidth=3.4, foreground="white")]
    axes.plot(columns, rows, color=PATH, linewidth=1.6, path_effects=halo, label="alignment")
    _mark_phases(axes, clips)
    axes.set_xlabel(f"frame of {clips[1].name}", parse_math=False)
    axes.set_ylabel(f"frame of {clips[0].name}", parse_math=False)
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))  # each label once
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, frameon=False)
    figure.colorbar(image, label=meaning)
    return figure


def _mark_phases(axes: Axes, clips: Sequence[Clip]) -> None:
    """Draw a line where a phase of either clip begins."""
    for clip, line in zip(clips, (axes.axhline, axes.axvline), strict=True):
        if clip.phase is not None:
            for begins in np.flatnonzero(np.diff(clip.phase)) + 0.5:
                line(begins, color=INK, linewidth=0.6, alpha=0.6, linestyle=":", label=_BEGINS)
