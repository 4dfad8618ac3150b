"""Check a video against references: ``python -m lac.check``, which is `lac.cli.check`."""

from lac.cli.check import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
