"""What is written on pictures."""

from collections.abc import Callable

from lac._matching import Matching
from lac._trust import Trust
from lac.pictures._shown import Shown
from lac.pictures._times import clock, matched_parts, matched_spans

_NAME = 32  # characters of a name at most


def heading(matching: Matching, a: Shown, b: Shown, trust: Trust | None) -> str:
    """Say which videos are shown, and whether they match."""
    first, second = printable(a.name), printable(b.name)
    if not matched_parts(matching):
        return f"No part of {first} matches any part of {second}"
    if trust is not None and trust.verdict == "no match":
        return f"{first} and {second} most likely do not match"
    may = "may match" if trust is not None and trust.verdict == "unsure" else "match"
    return f"Where {first} and {second} {may}"


def trust_line(trust: Trust | None) -> str:
    """Say in short how far a matching can be trusted; nothing if that is not known."""
    if trust is None:
        return ""
    return (
        f"Probability {trust.probability:.2f} that both show the same; score"
        f" {trust.reversed:.1f} times that played backwards, {trust.shuffled:.1f} times that"
        " shuffled"
    )


def summary(matching: Matching, a: Shown, b: Shown) -> str:
    """Say which part matches which, or how much if there are several; empty if none does."""
    spans = [matched_spans(matching, side) for side in (0, 1)]
    if not spans[0]:
        return ""
    if len(spans[0]) == len(spans[1]) == 1:
        return " with ".join(
            f"{span_in_words(video, *span)} of {printable(video.name)}"
            for video, (span,) in zip((a, b), spans, strict=True)
        )
    shares = (
        f"{sum(last - first + 1 for first, last in found) / len(video.times):.0%} of"
        f" {printable(video.name)}"
        for video, found in zip((a, b), spans, strict=True)
    )
    return f"{len(matched_parts(matching))} parts are paired: {', '.join(shares)}"


def span_in_words(video: Shown, first: int, last: int) -> str:
    """Return a span of a video in words."""
    begin, end = video.times[first], video.times[last]
    if video.source is None:
        return f"frames {begin:g} to {end:g}"
    longest = float(video.times[-1])
    words = clock(begin, longest=longest), clock(end, longest=longest)
    return f"{words[0].removesuffix(' s')} to {words[1]}"


def printable(name: str) -> str:
    """Return a name on one line and not too long, its middle left out."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in name)
    return shortened(shown, lambda text: len(text) <= _NAME)


def shortened(text: str, fits: Callable[[str], bool]) -> str:
    """Return text that fits, with as little of its middle left out as that takes."""
    if fits(text):
        return text
    for kept in range(len(text) - 1, 0, -1):
        shown = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if fits(shown):
            return shown
    return ""


def wrapped(text: str, fits: Callable[[str], bool]) -> str:
    """Return text broken into lines that fit; a word that is too long is shortened."""
    lines: list[str] = []
    for word in (shortened(word, fits) for word in text.split()):
        if lines and fits(f"{lines[-1]} {word}"):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
