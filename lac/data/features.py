"""The features source: `features/` with one array a sequence, and `labels.json` beside it.

For skeletons, sound, or features computed elsewhere: the encoder begins at the temporal
transformer. The labels are those of the folder source, one for each row of the array.
"""

import zipfile
from os import PathLike
from pathlib import Path

import numpy as np

from lac.data._labels import read_labelled
from lac.data._names import normal, visible
from lac.data.clip import Collection

SUFFIXES = (".npy", ".npz")


def read_features_folder(root: str | PathLike[str]) -> Collection:
    """Read which sequences and labels a folder holds, without their numbers.

    Parameters
    ----------
    root : str or path
        Folder with `features/` and optionally `labels.json`, as `read_folder` wants it.

    Raises
    ------
    FileNotFoundError
        If `root` or its `features/` is missing.
    ValueError
        If there is no sequence, or `labels.json` is wrong or does not fit them.

    Warns
    -----
    UserWarning
        If the split leaves sequences out.
    """
    root = Path(root)
    paths = _arrays_by_name(root)
    return read_labelled(root / "labels.json", paths, content="features")


def read_features(path: str | PathLike[str]) -> np.ndarray:
    """Read one sequence.

    Parameters
    ----------
    path : str or path
        `.npy` with an array, or `.npz` with an array named `features`, or with just one that has
        two axes (as `lac.embed` writes).

    Returns
    -------
    ndarray of float32, shape (T, D)

    Raises
    ------
    ValueError
        If the file holds no such array, or numbers that are not finite; the message names it.
    """
    path = Path(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                array = _the_array(path, loaded)
        else:
            array = loaded
    except FileNotFoundError:
        raise
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, _FeaturesError):
            raise
        reason = str(error).partition(". ")[0]  # NumPy goes on to advise loading it all the same
        raise _FeaturesError(f"{path}: no array can be read: {reason}") from error
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiu":
        raise _FeaturesError(
            f"{path}: features must be numbers of shape (T, D), got {array.dtype} {array.shape}"
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        frame = int(np.flatnonzero(~np.isfinite(array).all(1))[0])
        raise _FeaturesError(f"{path}: features must be finite, got others in frame {frame}")
    return array


class _FeaturesError(ValueError):
    """What is wrong with a file of features."""


def _arrays_by_name(root: Path) -> dict[str, Path]:
    """Map names without suffix, composed, to the files in `features/`, in their order."""
    folder = root / "features"
    if not folder.is_dir():
        raise FileNotFoundError(f"`root` must be a folder that holds features/, got {root}")
    files: dict[str, Path] = {}
    for path in sorted(visible(folder.iterdir())):
        if path.suffix.lower() not in SUFFIXES:
            continue
        name = normal(path.stem)
        if name in files:
            raise ValueError(f"two clips of one name: {files[name]} and {path.name}")
        files[name] = path
    if not files:
        raise ValueError(
            f"`root` must hold arrays in features/ ({', '.join(SUFFIXES)}), got {folder}"
        )
    return files


def _the_array(path: Path, archive: np.lib.npyio.NpzFile) -> np.ndarray:
    """Return the features among the arrays of an archive."""
    if "features" in archive.files:
        return archive["features"]
    arrays = {name: archive[name] for name in archive.files}
    sheets = [array for array in arrays.values() if array.ndim == 2]
    if len(sheets) != 1:
        raise _FeaturesError(
            f"{path}: an .npz must hold `features` or a single array of two axes,"
            f" got {', '.join(f'{name} {array.shape}' for name, array in arrays.items())}"
        )
    return sheets[0]
