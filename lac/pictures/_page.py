"""The screen of an alignment or a check as one file: all of it, videos too, without a network."""

import html
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from lac._atomic import written_whole
from lac._matching import Matching
from lac._trust import Trust
from lac.pictures._film import write_film
from lac.pictures._layers import layer_pictures
from lac.pictures._picture import alignment_figure
from lac.pictures._shown import Shown
from lac.pictures._steps import CheckView
from lac.pictures._times import matched_parts
from lac.pictures._view import alignment_view
from lac.pictures._words import heading, span_in_words

_HEIGHT, _WIDTH = 360, 640  # of a video in the page, at most
_MEGABYTES = 50  # of a video in the page, at most; in text it takes a third more
_START = """\
const text = id => document.getElementById(id).textContent;
const address = id => URL.createObjectURL(
  new Blob([Uint8Array.from(atob(text(id)), letter => letter.charCodeAt(0))], {type: "video/mp4"}));
const matching = JSON.parse(text("matching"));
const view = new AlignView(document.getElementById("view"), matching, {
  sources: ["video-0", "video-1"].map(address),
  layers: {similarity: text("similarity"), posterior: text("posterior")}});
"""
_CHECKED = f"""\
{_START}\
showCheck(document.getElementById("check"), JSON.parse(text("checked")), matching, view);
"""


def write_page(
    file: Path,
    matching: Matching,
    a: Shown,
    b: Shown,
    *,
    trust: Trust | None = None,
    check: CheckView | None = None,
) -> None:
    """Write the screen of an alignment or a check, as `lac.app` shows it, as one page of HTML.

    Both videos play in step, the second at the pace of the path, and the matrix goes to any matched
    pair of frames. All is in the one file, and browsers are told to load nothing else. Without
    frames to show there is the picture of `draw_alignment` alone.

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
    check : CheckView, optional
        What a check of `b` against the reference `a` has found, which is then shown above.

    Raises
    ------
    ValueError
        If a video takes more than 50 megabytes, or a check is of features.
    """
    seen = a.source is not None and b.source is not None
    if check is not None and not seen:
        raise ValueError("`check` must be of videos, got features, of which there is no frame")
    content = _screen(matching, a, b, trust, check) if seen else _picture(matching, a, b, trust)
    title = heading(matching, a, b, trust) if check is None else check["heading"]
    styles = ("view.css",) if check is None else ("view.css", "check.css")
    page = _filled(
        _packaged("page.html"),
        {
            "title": html.escape(title),
            "trust": html.escape("" if trust is None else str(trust)),
            "style": "".join(map(_packaged, styles)) if seen else "",
            "content": content,
        },
    )
    with written_whole(file) as unfinished:
        # Names of files may be no UTF-8.
        unfinished.write_text(page, encoding="utf-8", errors="replace")


def _filled(template: str, words: Mapping[str, str]) -> str:
    """Fill in a template; what is filled in is not searched for placeholders."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: words[found[1]], template)


def _packaged(name: str) -> str:
    """Return a file of this package."""
    return files("lac.pictures").joinpath(name).read_text(encoding="utf-8")


def _module(name: str) -> str:
    """Return a module of this package without its imports: the others are in the same script."""
    return re.sub(r"^import .*\n", "", _packaged(name), flags=re.MULTILINE)


def _screen(
    matching: Matching, a: Shown, b: Shown, trust: Trust | None, check: CheckView | None
) -> str:
    """Return the data of the screen, both videos, and what shows them."""
    held = [("application/json", "matching", _json(alignment_view(matching, a, b, trust=trust)))]
    for name, picture in zip(("similarity", "posterior"), layer_pictures(matching), strict=True):
        held.append(("text/plain", name, _data(picture)))
    for number, video in enumerate((a, b)):
        film = BytesIO()
        write_film(film, video, height=_HEIGHT, width=_WIDTH, megabytes=_MEGABYTES)
        held.append(("text/plain", f"video-{number}", b64encode(film.getvalue()).decode()))
    modules, places, start = ["view.js"], ["view"], _START
    if check is not None:
        held.append(("application/json", "checked", _json(check)))
        modules, places, start = ["dom.js", "view.js", "check.js"], ["check", "view"], _CHECKED
    return "\n".join(
        [
            *(f'<div id="{place}"></div>' for place in places),
            *(f'<script type="{kind}" id="{name}">{text}</script>' for kind, name, text in held),
            f'<script type="module">\n{"".join(map(_module, modules))}\n{start}</script>',
        ]
    )


def _json(content: Mapping[str, Any]) -> str:
    """Return JSON that ends no script, whatever names are in it."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _data(picture: bytes) -> str:
    """Return a PNG as an address."""
    return f"data:image/png;base64,{b64encode(picture).decode()}"


def _picture(matching: Matching, a: Shown, b: Shown, trust: Trust | None) -> str:
    """Return matched parts and the picture of features, which have no frames to show."""
    drawn = BytesIO()
    figure = alignment_figure(matching, a, b, trust=trust)
    figure.savefig(drawn, dpi=150, metadata={"Software": None})
    words = "Similarity, probability and path of the alignment"
    picture = f'<img class="picture" alt="{words}" src="{_data(drawn.getvalue())}">'
    return f"{_parts(matching, a, b)}\n{picture}"


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
