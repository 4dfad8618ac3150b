"""The options of commands, and their help; a wrong one is answered with the nearest right one."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lac._hints import did_you_mean, no_such


class CommandParser(argparse.ArgumentParser):
    """The options of a command. What it does not know it answers with the nearest that it does.

    Parameters
    ----------
    prog : str
        How the command is called.
    description : str
        What it does.
    examples : sequence of str
        What may follow `prog`, shown at the end of the help.
    """

    def __init__(self, prog: str, *, description: str, examples: Sequence[str] = ()):
        """Lay out the help."""
        shown = "".join(f"\n  {prog} {example}" for example in examples)
        super().__init__(
            prog,
            description=description,
            epilog=f"examples:{shown}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the options, or end with one line on what is wrong with them."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(no_such(unknown[0], self.names(), kind="option"))
        return options

    def names(self) -> list[str]:
        """Return the names of all options, those of subcommands among them."""
        found: list[str] = []
        for action in self._actions:
            found += action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                found += [name for parser in action.choices.values() for name in parser.names()]
        return found

    def error(self, message: str) -> NoReturn:
        """End with the message and where the options are explained."""
        places = [str(action.metavar) for action in self._actions if not action.option_strings]
        if message.startswith("the following arguments are required") and len(places) > 1:
            message += f" (in order {' '.join(places)})"
        self.exit(2, f"error: {message}\n{self.prog} --help explains the options\n")


def one_of(*choices: str) -> Callable[[str], str]:
    """Return the type of an option that takes one of a few words."""

    def choose(word: str) -> str:
        if word not in choices:
            raise argparse.ArgumentTypeError(
                f"must be one of {', '.join(choices)}, got {word!r}{did_you_mean(word, choices)}"
            )
        return word

    return choose


def of_kind(kind: Any) -> Callable[[str], Any]:
    """Return the type of an option whose values are of a type, written as in YAML."""
    from lac._settings.kinds import convert, read

    def take(word: str) -> Any:
        try:
            return convert(read(word), kind, text=word)
        except TypeError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return take


def at_least_one(word: str) -> int:
    """Return the whole number >= 1 that an option was given."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {word!r}")
    return int(word)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Let a command take what embeds: a run, or a frozen encoder by its name."""
    parser.add_argument(
        "run",
        metavar="RUN",
        help="run directory of lac.train; or lite0 or small (nothing to train)",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Let a command that embeds choose the frames and the weights."""
    parser.add_argument(
        "--every",
        type=at_least_one,
        metavar="N",
        help="take every N-th frame (default: as trained)",
    )
    parser.add_argument(
        "--checkpoint",
        type=one_of("last", "best"),
        default="last",
        metavar="{last,best}",
        help="which weights (default: last)",
    )
