"""Label clips by those of a folder that are labelled: ``lac.label``, which is `lac.cli.label`."""

from lac.cli.label import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
