"""The way up of a picture: what its file says of turning and mirroring it for display."""

from typing import Any, NamedTuple

import av
import numpy as np
from av.sidedata.sidedata import Type

_TOLERANCE = 0.0175  # tangent of one degree, up to which FFmpeg takes a turn for a quarter turn
_KINDS_TO_COME = 16  # kinds of side data that FFmpeg may have and PyAV does not name yet


class OrientationError(ValueError):
    """A display matrix that is none of the eight orientations; the caller adds the file."""


class Orientation(NamedTuple):
    """One of the eight ways of showing a picture: transpose it, then mirror it along its sides."""

    transpose: bool = False
    mirror_columns: bool = False
    mirror_rows: bool = False

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Return a view of a picture (H, W, ...) that is the right way up."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.mirror_rows else 1, :: -1 if self.mirror_columns else 1]


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return how a decoded frame is to be shown, by its display matrix or its EXIF tag.

    Raises
    ------
    OrientationError
        If the frame is to be turned by no multiple of 90 degrees, or sheared.

    Notes
    -----
    The matrix takes place (x, y) of the stored picture, y downwards, to (a x + c y, b x + d y) of
    the shown one, up to a shift.
    """
    matrix = _display_matrix(frame)
    if matrix is None:
        return Orientation()
    (a, b), (c, d) = matrix[:2, :2]
    straight, crossed = np.abs([a, d]), np.abs([b, c])
    if (crossed <= _TOLERANCE * straight).all():  # all zero, as FFmpeg does: nothing to be done
        return Orientation(False, bool(a < 0), bool(d < 0))
    if (straight <= _TOLERANCE * crossed).all():
        return Orientation(True, bool(c < 0), bool(b < 0))
    raise OrientationError(
        "the display matrix must turn by a multiple of 90 degrees, mirrored or not,"
        f" got [[{a:g}, {b:g}], [{c:g}, {d:g}]]"
    )


def _display_matrix(frame: av.VideoFrame) -> np.ndarray | None:
    """Return the matrix (3, 3) that FFmpeg found for a frame, None if there is none."""
    try:
        side_data = frame.side_data
    except ValueError:  # there is data of a kind that PyAV has no name for, as EXIF in 18.1
        side_data = _without_unnamed(frame).side_data
    matrix: Any = side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    return np.frombuffer(matrix, np.int32).reshape(3, 3) / 65536  # 16.16 fixed point


def _without_unnamed(frame: av.VideoFrame) -> av.VideoFrame:
    """Return a frame without the side data that PyAV cannot name, which hides all of it."""
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        ),
        *(
            graph.add("sidedata", f"mode=delete:type={kind}")
            for kind in range(len(Type), len(Type) + _KINDS_TO_COME)
        ),
        graph.add("buffersink"),
    ).configure()
    graph.vpush(frame)
    return graph.vpull()
