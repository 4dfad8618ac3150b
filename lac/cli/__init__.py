"""The console command `lac`: a module for each command; shared ones begin with an underscore."""

import sys
from collections.abc import Sequence
from importlib import import_module

from lac._hints import no_such, program
from lac.cli._errors import interruptible
from lac.cli._parser import CommandParser

__all__ = ["main"]

_COMMANDS = {
    "train": "learn an embedding from videos, and evaluate it",
    "evaluate": "measure a trained run again, by another protocol or on other clips",
    "embed": "write the embeddings of videos",
    "align": "say which part of a video matches which part of another",
    "check": "say where a video departs from references: steps missing, extra or changed",
    "label": "carry the phases of labelled clips to the others of a folder",
    "app": "align, check, search and label videos in a browser, and train on them",
    "compare": "lay finished runs side by side",
    "data": "check a folder of clips, or import a data set",
}


def main(args: Sequence[str] | None = None) -> None:
    """Run the command that the first word names, with the words after it.

    Parameters
    ----------
    args : sequence of str, optional
        The command line after the name of the program, the process's own if absent.
    """
    command, *rest = (sys.argv[1:] if args is None else args) or ["--help"]
    if command.startswith("-"):
        _parser().parse_args([command])
    if command not in _COMMANDS:
        _parser().error(no_such(command, list(_COMMANDS), kind="command"))
    with interruptible():
        import_module(f"lac.cli.{command}").main(rest)


def _parser() -> CommandParser:
    """Return the parser that lists the commands."""
    parser = CommandParser(
        program(),
        description="Embeddings of the frames of videos, and alignments of videos by them.",
        examples=["train my_videos", "align lite0 a.mp4 b.mp4 --plot align.png", "train --help"],
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, text in _COMMANDS.items():
        commands.add_parser(name, description=text, help=text)
    return parser
