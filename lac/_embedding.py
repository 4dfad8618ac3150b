"""Embeddings of the frames of a file, with the frames' times."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lac._hints import existing

if TYPE_CHECKING:
    from lac._embedder import Embedder


class Embedded(NamedTuple):
    """Embeddings (T, D) float32 of a video's frames, and the frames' times (T,) in seconds."""

    embeddings: np.ndarray
    times: np.ndarray


def embed_file(embedder: "Embedder", path: Path, *, every: int | None = None) -> Embedded:
    """Embed a video file, or a file of features for a run on features.

    Parameters
    ----------
    embedder : Embedder
        From `lac.load`.
    path : Path
        The file.
    every : int, optional
        Take every so many frames, >= 1: for videos much slower or longer than those of training.
        As in training if absent.

    Returns
    -------
    Embedded
        With frame numbers as times if the file holds features.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds features of another width than the run's.
    """
    from lac.data import read_features, read_video

    every = every or embedder.every
    if embedder.image_size is None:
        content = read_features(path)[::every]
        seconds = np.arange(len(content), dtype=np.float64) * every
        if content.shape[1] != embedder.channels:
            raise ValueError(
                f"{path}: features must be of width {embedder.channels}, as the run's,"
                f" got {content.shape[1]}"
            )
    else:
        video = read_video(path, size=embedder.image_size, every=every)
        content, seconds = video.frames, video.times
    places = np.arange(len(content)) * every / embedder.every
    return Embedded(embedder(content, places).cpu().numpy(), seconds)


def require_readable(path: Path) -> None:
    """Refuse what is neither a video nor a file of features, before anything takes long.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    VideoError
        If it is no video; the message says what it is.
    """
    from lac.data.features import SUFFIXES
    from lac.data.video.files import open_video

    if existing(path).suffix.lower() not in SUFFIXES:
        open_video(path).close()
