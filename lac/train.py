"""Train an embedding: ``python -m lac.train``, which is `lac.cli.train`."""

from lac.cli.train import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
