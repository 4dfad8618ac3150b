"""Look after folders of clips: ``python -m lac.data check DIR``, ``... import FORMAT SRC DST``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lac._hints import program
from lac.cli._console import plain_console
from lac.cli._errors import errors_in_one_line, interruptible
from lac.cli._parser import CommandParser, one_of

if TYPE_CHECKING:
    from lac.data.check import Inspection


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line; check or import."""
    with interruptible(), errors_in_one_line():
        options = _parser().parse_args(args)
        if options.command == "check":
            from lac.data.check import inspect

            inspection = inspect(options.folder, layout=options.layout)
            _show(inspection)
            sys.exit(0 if inspection.usable else 1)
        _import(options)


def _parser() -> CommandParser:
    """Return the options."""
    from lac.data.importers.convert import Importable
    from lac.data.sources import Layout

    layouts, importable = get_args(Layout), get_args(Importable)
    parser = CommandParser(
        program("data"),
        description="Look after folders of clips.",
        examples=[
            "check my_clips",
            "import penn_action downloads/penn clips --action squat",
        ],
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        prog=f"{parser.prog} check",
        description="Say what a folder holds, what is wrong with it, and how to put it right.",
        help="say what a folder holds and what is wrong",
    )
    check.add_argument("folder", type=Path, metavar="DIR", help="folder of clips")
    check.add_argument(
        "--layout",
        type=one_of(*layouts),
        metavar=f"{{{','.join(layouts)}}}",
        help="its layout; recognised if absent",
    )
    take = commands.add_parser(
        "import",
        prog=f"{parser.prog} import",
        description="Copy clips of another layout into a new folder, as clips/ and labels.json.",
        help="convert a data set to clips/ and labels.json",
    )
    take.add_argument(
        "format",
        type=one_of(*importable),
        metavar="FORMAT",
        help=f"layout of the source: {', '.join(importable)}",
    )
    take.add_argument("source", type=Path, metavar="SRC", help="folder to read")
    take.add_argument("target", type=Path, metavar="DST", help="folder to make")
    take.add_argument("--action", metavar="NAME", help="take this action alone")
    take.add_argument(
        "--on_error",
        type=one_of("refuse", "skip"),
        default="refuse",
        metavar="{refuse,skip}",
        help="stop at a clip that cannot be used (default), or go on and list it at the end",
    )
    return parser


def _show(inspection: "Inspection") -> None:
    """Print what was found."""
    from rich.text import Text

    console = plain_console(soft_wrap=True, highlight=False)
    if inspection.layout is not None:
        console.print(f"{inspection.root}: layout {inspection.layout}")
    for fact in inspection.facts:
        console.print(f"  {fact}")
    for finding in inspection.findings:
        kind = Text("wrong", "red") if finding.fatal else Text("note", "yellow")
        console.print(kind, end="  ")
        console.print(f"{finding.problem}\n       {finding.remedy}")
    if inspection.usable and inspection.layout is not None:
        from lac.cli._own_videos import arguments, command, prepare

        _, own = prepare(arguments(inspection.root, inspection.layout))
        for line in own.describe() if own else ():
            console.print(f"  {line}")
        console.print(f"Ready: {command(inspection.root, inspection.layout)}")


def _import(options: argparse.Namespace) -> None:
    """Convert, and say what to do next."""
    from lac.cli._own_videos import command
    from lac.data.importers.convert import convert

    console = plain_console(soft_wrap=True, highlight=False)
    left_out = convert(
        options.format,
        options.source,
        options.target,
        action=options.action,
        on_error=options.on_error,
    )
    for reason in left_out.values():
        console.print(f"Left out: {reason}")
    console.print(f"Done: {command(options.target, 'folder')}")
