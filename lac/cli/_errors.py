"""How commands end when their input is wrong: with one line that says what to do about it."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lac._lazy import missing_extra

INTERRUPTED = 130  # the exit code of what Ctrl-C has ended: 128 + SIGINT


@contextmanager
def errors_in_one_line(*more: type[Exception]) -> Iterator[None]:
    """End with one line if the input is wrong or an extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        sys.exit(f"error: {missing_extra(error)}")
    except (ValueError, OSError, *more) as error:  # type: ignore[misc]
        sys.exit("error: " + " ".join(str(error).splitlines()))


@contextmanager
def interruptible() -> Iterator[None]:
    """End with one line if Ctrl-C is pressed."""
    try:
        yield
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def refuse_overwriting(read: Iterable[Path], **written: Path | None) -> None:
    """Refuse to write, by the names of options, over files that are read."""
    for name, file in written.items():
        for source in read:
            if file is not None and file.exists() and file.samefile(source):
                raise ValueError(
                    f"`{name}` must be another file than those that are read, got {file}"
                )
