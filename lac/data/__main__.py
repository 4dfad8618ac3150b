"""Look after folders of clips: ``python -m lac.data check DIR``, ``... import FORMAT SRC DST``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser
from rich.text import Text

from lac._console import plain_console
from lac.data.check import Inspection, inspect
from lac.data.convert import Importable, convert
from lac.data.sources import Layout


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line; check or import."""
    parser = ArgumentParser(prog="python -m lac.data", description="Look after folders of clips.")
    commands = parser.add_subcommands(dest="command")
    check = ArgumentParser(description="Say what a folder holds, what is wrong, how to fix it.")
    check.add_argument("folder", type=Path, help="folder of clips")
    check.add_argument("--layout", type=Layout | None, help="its layout; recognised if absent")
    commands.add_subcommand("check", check, help="say what a folder holds and what is wrong")
    take = ArgumentParser(description="Copy clips of another layout into a new folder.")
    take.add_argument("format", type=Importable, help="layout of the source")
    take.add_argument("source", type=Path, help="folder to read")
    take.add_argument("target", type=Path, help="folder to make")
    take.add_argument("--action", type=str | None, help="take this action alone")
    take.add_argument(
        "--on_error",
        type=Literal["refuse", "skip"],
        default="refuse",
        help="stop at a clip that cannot be used, or go on and list it at the end",
    )
    commands.add_subcommand("import", take, help="convert a data set to clips/ and labels.json")
    options = parser.parse_args(args)
    if options.command == "check":
        inspection = inspect(options.check.folder, layout=options.check.layout)
        _show(inspection)
        sys.exit(0 if inspection.usable else 1)
    _import(options["import"])


def _show(inspection: Inspection) -> None:
    """Print what was found."""
    console = plain_console(soft_wrap=True, highlight=False)
    if inspection.layout is not None:
        console.print(f"{inspection.root}: layout {inspection.layout}")
    for fact in inspection.facts:
        console.print(f"  {fact}")
    for finding in inspection.findings:
        kind = Text("wrong", "red") if finding.fatal else Text("note", "yellow")
        console.print(kind, end="  ")
        console.print(f"{finding.problem}\n       {finding.remedy}")
    if inspection.usable:
        layout = str(inspection.layout)
        how = "--config features" if layout == "features" else f"--data.source {layout}"
        console.print(f"Ready: python -m lac.train {how} --data.root {inspection.root}")


def _import(options) -> None:
    """Convert, and say what to do next."""
    console = plain_console(soft_wrap=True, highlight=False)
    try:
        left_out = convert(
            options.format,
            options.source,
            options.target,
            action=options.action,
            on_error=options.on_error,
        )
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    for reason in left_out.values():
        console.print(f"Left out: {reason}")
    console.print(f"Done: python -m lac.train --data.source folder --data.root {options.target}")


if __name__ == "__main__":
    main()
