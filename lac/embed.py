"""Embed videos: ``python -m lac.embed``, which is `lac.cli.embed`."""

from lac.cli.embed import Embedded, embed_file, main, require_readable

__all__ = ["Embedded", "embed_file", "main", "require_readable"]

if __name__ == "__main__":
    main()
