"""Serve a folder of videos: ``python -m lac.app``, which is `lac.cli.app`."""

from lac.cli.app import main

if __name__ == "__main__":
    main()
