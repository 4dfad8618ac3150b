"""A page that holds the picture and both videos, and plays them in step without a network."""

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np

from lac._matching import Matching
from lac._progress import part
from lac._trust import Trust
from lac.data.video.writing import encode
from lac.pictures._picture import alignment_figure
from lac.pictures._shown import Shown
from lac.pictures._times import clock, in_minutes, matched_parts, matched_spans, partner_times
from lac.pictures._words import heading, span_in_words

_HEIGHT, _WIDTH = 360, 640  # of a video in the page, at most
_MEGABYTES = 50  # of a video in the page, at most; in text it takes a third more
# Players can only go to whole pictures quickly; one in twelve is.
_ENCODING = {"crf": "24", "preset": "veryfast", "g": "12", "bf": "0"}


def write_page(
    file: Path, matching: Matching, a: Shown, b: Shown, *, trust: Trust | None = None
) -> None:
    """Write a page of HTML with the picture and both videos, which play in step.

    The second video follows the first as in `write_side_by_side`. All is in the one file, and
    browsers are told to load nothing else. Without frames to show there is the picture alone.

    Parameters
    ----------
    file : Path
        Its folder is made if it is not there.
    matching : Matching
        Of `a` and `b`.
    a, b : Shown
        The videos; shown at most 360 pixels high and 640 wide.
    trust : Trust, optional
        How far the alignment can be trusted, said in the title and in a sentence above.

    Raises
    ------
    ValueError
        If a video takes more than 50 megabytes.
    """
    figure = alignment_figure(matching, a, b, trust=trust)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=150, metadata={"Software": None})
    box = figure.axes[0].get_position()
    player = scripts = ""
    if a.source is not None and b.source is not None:
        player = _player(matching, a, b)
        matrix = (box.x0, 1 - box.y1, box.x1, 1 - box.y0)
        scripts = _scripts(matching, a, b, matrix)
    page = _filled(
        "page.html",
        {
            "title": html.escape(heading(matching, a, b, trust)),
            "trust": html.escape("" if trust is None else str(trust)),
            "player": player,
            "parts": _parts(matching, a, b),
            "picture": b64encode(drawn.getvalue()).decode(),
            "scripts": scripts,
        },
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page, encoding="utf-8", errors="replace")  # names may be no UTF-8


def _filled(template: str, words: Mapping[str, str]) -> str:
    """Fill in a template; what is filled in is not searched for placeholders."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: words[found[1]], _packaged(template))


def _packaged(name: str) -> str:
    """Return a file of this package."""
    return files("lac.pictures").joinpath(name).read_text(encoding="utf-8")


def _parts(matching: Matching, a: Shown, b: Shown) -> str:
    """Return a table of the matched parts; empty if nothing matches."""
    if not matched_parts(matching):
        return ""
    names = (a.name, b.name, "frames paired", "probability of a pair")
    rows = ["".join(f"<th>{html.escape(name)}</th>" for name in names)]
    for pairs in matched_parts(matching):
        cells = (
            *(
                span_in_words(video, *column[[0, -1]])
                for video, column in zip((a, b), pairs.T, strict=True)
            ),
            str(len(pairs)),
            f"{matching.posterior[tuple(pairs.T)].mean():.2f}",
        )
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _player(matching: Matching, a: Shown, b: Shown) -> str:
    """Return the part of the page that shows the videos."""
    links = ""
    for pairs in matched_parts(matching):
        (p, q), (r, s) = (
            (video.times[column[[0, -1]]] - video.times[0]) / (np.ptp(video.times) or 1.0)
            for video, column in zip((a, b), pairs.T, strict=True)
        )
        links += f'<polygon points="{p:.5f},0 {q:.5f},0 {s:.5f},1 {r:.5f},1"/>'
    words = {"links": links}
    for letter, video in zip("ab", (a, b), strict=True):
        words[f"{letter}_name"] = html.escape(video.name)
        words[f"{letter}_aspect"] = f"{video.shape[1] / video.shape[0]:.4f}"
    return _filled("player.html", words)


def _scripts(matching: Matching, a: Shown, b: Shown, matrix: tuple[float, ...]) -> str:
    """Return what the player plays, and how."""
    times = [video.times - video.times[0] for video in (a, b)]
    partner, matched = partner_times(matching, *times)
    told = {
        "times": [seconds.round(4).tolist() for seconds in times],
        "partner": partner.round(4).tolist(),
        "matched": matched.tolist(),
        "spans": [
            [seconds[[*span]].round(4).tolist() for span in matched_spans(matching, side)]
            for side, seconds in enumerate(times)
        ],
        "matrix": matrix,
        "minutes": [in_minutes(float(seconds[-1])) for seconds in times],
    }
    held = [("application/json", "matching", json.dumps(told, separators=(",", ":")))]
    for number, (video, seconds) in enumerate(zip((a, b), times, strict=True)):
        film = b64encode(_encoded(video, seconds)).decode()
        held.append(("text/plain", f"video-{number}", film))
    return "\n".join(
        [
            *(f'<script type="{kind}" id="{name}">{text}</script>' for kind, name, text in held),
            f"<script>\n{_packaged('player.js')}</script>",
        ]
    )


def _encoded(video: Shown, seconds: np.ndarray) -> bytes:
    """Return a video as MP4 with its own times."""
    written = BytesIO()

    def pictures() -> Iterator[np.ndarray]:
        size = video.within(_HEIGHT, _WIDTH, enlarge=False)
        for number, picture in zip(
            part(range(len(seconds)), video.name),
            video.frames(range(len(seconds)), size),
            strict=True,
        ):
            if written.tell() > 1e6 * _MEGABYTES:
                reached = clock(seconds[number], longest=float(seconds[-1]))
                raise ValueError(
                    f"`html` must hold at most {_MEGABYTES} MB of a video, got more after"
                    f" {reached} of {video.name}; match fewer frames, or write `output` instead"
                )
            yield picture

    encode(written, pictures(), rate=25, times=seconds, options=_ENCODING)
    return written.getvalue()
