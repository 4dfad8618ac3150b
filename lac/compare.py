"""Compare finished runs: ``python -m lac.compare``, which is `lac.cli.compare`."""

from lac.cli.compare import main, read_run

__all__ = ["main", "read_run"]

if __name__ == "__main__":
    main()
