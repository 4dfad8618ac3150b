"""Command lines: their options and help, and errors in one line that says what to do next."""

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from lac._lazy import missing_extra

INTERRUPTED = 130  # the exit code of what Ctrl-C has ended: 128 + SIGINT


def call(module: str) -> str:
    """Return how a module is run from here with the Python that runs, as a shell takes it.

    What `python` is called may be another one, or nothing, where a virtual environment is used
    without being activated.
    """
    found = shutil.which("python")
    own = sys.executable or found or "python"  # embedded, Python may not know its file
    there = found is not None and os.path.samefile(found, own)
    if there and os.path.samefile(os.path.dirname(str(found)), os.path.dirname(own)):
        return f"python -m {module}"
    below = os.path.relpath(own)
    near = os.sep in below and not below.startswith(os.pardir)
    return f"{shlex.quote(below if near else own)} -m {module}"


class CommandParser(argparse.ArgumentParser):
    """The options of a command. What it does not know it answers with the nearest that it does.

    Parameters
    ----------
    prog : str
        How the command is called.
    description : str
        What it does.
    examples : sequence of str
        Calls of it, shown at the end of the help.
    """

    def __init__(self, prog: str, *, description: str, examples: Sequence[str] = ()):
        """Lay out the help."""
        shown = "".join(f"\n  {example}" for example in examples)
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


def no_such(name: str, known: Sequence[str], *, kind: str) -> str:
    """Say that there is nothing of a name, and which is nearest to it.

    Examples
    --------
    >>> no_such("--plto=a.png", ["--plot", "--pairs"], kind="option")
    'no option --plto; did you mean --plot?'
    """
    name = name.partition("=")[0] if name.startswith("-") else name
    return f"no {kind} {name}{did_you_mean(name, known)}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the nearest of the names, None if none is near."""
    folded = {other.lower(): other for other in known}
    cutoff = 0.6 if len(name) == 3 else 0.7  # one letter of three may be another
    near = get_close_matches(name.lower(), folded, n=1, cutoff=cutoff)
    return folded[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question with the nearest of the names, nothing if none is near."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


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


def existing(path: Path) -> Path:
    """Refuse a path at which nothing is."""
    if not path.exists():
        near = did_you_mean(path.name, _neighbours(path))
        raise FileNotFoundError(f"{path}: no such file{near}")
    return path


def refuse_overwriting(read: Iterable[Path], **written: Path | None) -> None:
    """Refuse to write, by the names of options, over files that are read."""
    for name, file in written.items():
        for source in read:
            if file is not None and file.exists() and file.samefile(source):
                raise ValueError(
                    f"`{name}` must be another file than those that are read, got {file}"
                )


def _neighbours(path: Path) -> list[str]:
    """Return the names beside a path."""
    try:
        return [other.name for other in path.parent.iterdir()]
    except OSError:
        return []


@contextmanager
def errors_in_one_line(*more: type[Exception]) -> Iterator[None]:
    """End with one line where the input is at fault or an extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        sys.exit(f"error: {missing_extra(error)}")
    except (ValueError, OSError, *more) as error:  # type: ignore[misc]
        sys.exit("error: " + " ".join(str(error).splitlines()))


@contextmanager
def interruptible() -> Iterator[None]:
    """End with one line where Ctrl-C is pressed."""
    try:
        yield
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
