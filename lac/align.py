"""Align two videos: ``python -m lac.align``, which is `lac.cli.align`."""

from lac.cli.align import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
