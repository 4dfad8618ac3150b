"""What a file is that is no video, by its first bytes."""

from pathlib import Path

_KINDS = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF document",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x02": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}
_READ = 4096  # bytes that are looked at


def what_is(path: Path) -> str:
    """Say what a file is by its first bytes: nothing, text, or one of a few kinds."""
    if path.is_dir():
        return "a folder"
    with path.open("rb") as stream:
        start = stream.read(_READ)
    if not start:
        return "an empty file"
    if is_text(start):
        line = start.decode(errors="ignore").strip().splitlines()[:1]
        shown = "".join(line)[:30]
        return f"text, which begins {shown!r}" if shown else "text"
    known = (kind for magic, kind in _KINDS.items() if start.startswith(magic))
    return next(known, "a file that is damaged or of a kind that FFmpeg does not know")


def is_text(start: bytes) -> bool:
    """Tell whether bytes are printable UTF-8, whose last character may be cut."""
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:
            return False
        text = start[: error.start].decode()
    return all(character.isprintable() or character.isspace() for character in text)
