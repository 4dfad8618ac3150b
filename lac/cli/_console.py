"""Printing on the terminal."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def plain_console(**settings: Any) -> "Console":
    """Return a console that prints text as it is: `[a]` and `:b:` in names of files are no markup.

    What is to be bold or coloured is given a style.
    """
    from rich.console import Console

    return Console(markup=False, emoji=False, **settings)
