"""Check a video: ``python -m lac.check RUN REFERENCE... QUERY [--html check.html]``.

Says where the query departs from how the references do it: steps that are missing, extra, or
changed, with times.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lac._hints import program
from lac._loadable import require
from lac._progress import announced, progress
from lac.cli._console import plain_console
from lac.cli._errors import errors_in_one_line, interruptible, refuse_overwriting
from lac.cli._parser import CommandParser, add_reading, add_run
from lac.cli.align import refuse_unwritable

if TYPE_CHECKING:
    from lac._checking import Checked
    from lac.pictures import Shown


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, check, print, draw."""
    options = _parser().parse_args(args)
    with interruptible(), errors_in_one_line():
        require(options.run, options.checkpoint)
        refuse_unwritable(options, "plot", "html")
        files = [*options.references, options.query]
        from lac._embedding import embed_file, require_readable

        for file in files:
            require_readable(file)
        refuse_overwriting(files, plot=options.plot, steps=options.steps, html=options.html)
        with announced("Loading the network"):
            from lac._embedder import load

            embedder = load(options.run, checkpoint=options.checkpoint)
        from lac._checking import check
        from lac.pictures import Shown

        every = options.every or embedder.every
        *references, query = (
            embed_file(embedder, file, every=every) for file in progress(files, "Embedding")
        )
        with announced("Checking"):
            checked = check(
                [video.embeddings for video in references],
                query.embeddings,
                loss=embedder.loss,
                limit=options.limit,
            )
        nearest = checked.nearest
        seen = embedder.image_size is not None
        reference, shown = (
            Shown(file.name, video.times, file if seen else None, every)
            for file, video in (
                (options.references[nearest], references[nearest]),
                (options.query, query),
            )
        )
        _report(checked, reference, shown)
        _write(options, checked, reference, shown)


def _parser() -> CommandParser:
    """Return the options."""
    parser = CommandParser(
        program("check"),
        description="Say where a video departs from how references do it: steps that are missing,"
        " extra or changed,\nwith times. Two or more references tell how much may vary.",
        examples=[
            "lite0 right.mp4 query.mp4 --plot check.png",
            "lite0 right-1.mp4 right-2.mp4 right-3.mp4 query.mp4 --steps steps.csv",
        ],
    )
    add_run(parser)
    parser.add_argument(
        "references", type=Path, nargs="+", metavar="REFERENCE", help="a video of how it is done"
    )
    parser.add_argument("query", type=Path, metavar="QUERY", help="the video to check")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="picture of distance, surprise and steps"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="page with what departs and both videos in step"
    )
    parser.add_argument("--steps", type=Path, metavar="FILE", help="CSV file of the steps")
    parser.add_argument(
        "--limit",
        type=float,
        metavar="D",
        help="distance in (0, 2] from which on a moment departs (default: from the references)",
    )
    add_reading(parser)
    return parser


def _report(checked: "Checked", reference: "Shown", query: "Shown") -> None:
    """Print what departs, by how much, and how far this can be trusted."""
    from lac.pictures import check_view

    view = check_view(checked, reference, query)
    console = plain_console()
    console.print(f"{view['heading']}.", soft_wrap=True)
    for step in view["steps"]:
        console.print(f"  {step['words']}", soft_wrap=True)
    console.print(view["limit_words"], soft_wrap=True)
    if len(checked.matching.alignment):
        console.print(str(checked.matching.trust), soft_wrap=True)


def _write(
    options: argparse.Namespace, checked: "Checked", reference: "Shown", query: "Shown"
) -> None:
    """Write the table, the picture and the page that are asked for."""
    from lac.pictures import check_view, draw_check, write_page, write_steps

    if options.steps:
        write_steps(options.steps, checked, reference, query)
    if options.plot:
        with announced(f"Drawing {options.plot.name}"):
            draw_check(options.plot, checked, reference, query)
    if options.html:
        with announced(f"Writing {options.html.name}"):
            matching = checked.matching
            write_page(
                options.html,
                matching,
                reference,
                query,
                trust=matching.trust if len(matching.alignment) else None,
                check=check_view(checked, reference, query),
            )
