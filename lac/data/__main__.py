"""Look after folders of clips: ``python -m lac.data``, which is `lac.cli.data`."""

from lac.cli.data import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
