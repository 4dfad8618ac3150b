"""Evaluate a run: ``python -m lac.evaluate``, which is `lac.cli.evaluate`."""

from lac.cli.evaluate import evaluate, main

__all__ = ["evaluate", "main"]

if __name__ == "__main__":
    main()
