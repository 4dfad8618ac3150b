"""Measure `lac.check` on drawn clips: ``python docs/measure_check.py ENCODER... --figure FILE``.

A performer lifts a box or wipes a shelf, in steps of about a second. In queries a step is left out,
put in, or done in another way, and some are as they should be. References are the same take before
the edit, other takes of the same performer and camera, or takes of others filmed from elsewhere.
Prints a table as Markdown, and draws what is found by limit.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import lac
from lac._checking import Checked, check, find_steps
from lac.data.synthetic._figure import Body, Script, carried, joints, move
from lac.data.synthetic.rendered import View, draw_scene
from lac.data.synthetic.several import POSES, PROCEDURES
from lac.data.video.frames import resize
from lac.pictures._check_picture import STEP_COLOURS

KINDS = "missing", "extra", "changed"
SKIPPED = {"wipe": (1, 2, 3, 4, 5, 6), "carry": (1, 4, 6)}  # steps that others can do without
OTHERS = "wave", "stretch"
SIZE = 96  # pixels a side
REFERENCES = 3
OVERLAP = 0.3  # least, intersection over union, of a step that is found with the true one
FACTORS = np.geomspace(0.4, 1.6, 13)
SETTINGS = ("one take, edited", "one performer and camera", "other performers and cameras")


class Take(NamedTuple):
    """Frames, and which step of the procedure each belongs to."""

    frames: np.ndarray
    step: np.ndarray


class Query(NamedTuple):
    """A check with what is true: the kind, and the frames of it in the reference or the query."""

    checked: Checked
    kind: str
    reference: tuple[int, int] | None
    query: tuple[int, int] | None


def draw(seed: int, steps: tuple[str, ...], *, scene: int, camera: View) -> Take:
    """Draw one take: the seed decides the movement, the scene who does it and how it is filmed."""
    rng, room = np.random.default_rng([21, seed]), np.random.default_rng([22, scene])
    tempo = rng.lognormal(0, 0.2) * rng.lognormal(0, 0.3, len(steps))
    counts = np.maximum(6, np.rint(14 * tempo)).astype(int)
    progress = np.concatenate([np.arange(1, count + 1) / count for count in counts])
    script = Script(np.repeat(np.arange(len(steps)), counts), progress, steps)
    body = Body.draw(room)
    movement = move(script, rng, POSES)
    place = joints(body, movement.angles, movement.way)
    box = carried(script, place, reach=0.05) if "lift" in steps else None
    frames = draw_scene(body, movement.way, place, box, room, size=SIZE, camera=camera)
    return Take(frames, script.phase)


def queries(embedder: lac.Embedder, setting: str, count: int) -> Iterator[Query]:
    """Check so many clips, a quarter of them as they should be."""
    rng = np.random.default_rng(3)
    same = setting != SETTINGS[2]
    camera = View(across=(1.8, 1.9)) if same else View(across=(1.2, 2.2), tilt=0.3)
    known = {}
    for name, steps in PROCEDURES.items():
        seeds = range(1 if setting == SETTINGS[0] else REFERENCES)
        takes = [draw(seed, steps, scene=0 if same else seed, camera=camera) for seed in seeds]
        known[name] = takes, [embed(embedder, take.frames) for take in takes]
    for number in range(count):
        kind = ("none", *KINDS)[number % 4]
        name = tuple(PROCEDURES)[number // 4 % 2]
        at, other = int(rng.choice(SKIPPED[name])), str(rng.choice(OTHERS))
        steps = list(PROCEDURES[name])
        if kind == "extra":
            steps.insert(at, other)
        elif kind == "changed":
            steps[at] = other
        seed = 100 + number
        own = dict(scene=0 if same else seed, camera=camera)
        take = draw(seed, tuple(steps), **own)
        if kind == "missing" and setting != SETTINGS[0]:
            take = draw(seed, (*steps[:at], *steps[at + 1 :]), **own)
        takes, embedded = known[name]
        if setting == SETTINGS[0]:
            take, before = edited(take, at, kind)
            if kind == "changed":  # the seed moves all else as before
                before = draw(seed, PROCEDURES[name], **own)
            takes, embedded = [before], [embed(embedder, before.frames)]
        checked = check(embedded, embed(embedder, take.frames), loss=embedder.loss)
        yield Query(
            checked,
            kind,
            span(takes[checked.nearest], at) if kind in ("missing", "changed") else None,
            span(take, at) if kind in ("extra", "changed") else None,
        )


def edited(take: Take, step: int, kind: str) -> tuple[Take, Take]:
    """Return a take, and the same with or without a step."""
    if kind == "missing":
        return without(take, step), take
    return take, without(take, step) if kind == "extra" else take


def without(take: Take, step: int) -> Take:
    """Cut a step out of a take."""
    kept = take.step != step
    return Take(take.frames[kept], take.step[kept])


def span(take: Take, step: int) -> tuple[int, int]:
    """Return the first and last frame of a step."""
    found = np.flatnonzero(take.step == step)
    return int(found[0]), int(found[-1])


def embed(embedder: lac.Embedder, frames: np.ndarray) -> np.ndarray:
    """Embed frames as they would be read from a file."""
    return embedder(resize(frames, size=embedder.image_size)).cpu().numpy()


def overlap(found: tuple[int, int], true: tuple[int, int] | None) -> float:
    """Return intersection over union of two spans."""
    if true is None:
        return 0.0
    inner = min(found[1], true[1]) - max(found[0], true[0]) + 1
    return max(inner, 0) / (max(found[1], true[1]) - min(found[0], true[0]) + 1)


class Counts(NamedTuple):
    """Of each kind: how many there are, how many were found, found as such, and marked."""

    true: dict[str, int]
    found: dict[str, int]
    named: dict[str, int]
    marked: dict[str, int]
    false: int  # marked in clips that are as they should be


def count(checks: list[Query], factor: float) -> Counts:
    """Count what is found with a multiple of the limit."""
    true, found, named, marked = (dict.fromkeys(KINDS, 0) for _ in range(4))
    false = 0
    for one in checks:
        checked = one.checked
        steps = find_steps(checked.matching, checked.moments, factor * checked.limit.distance)
        for step in steps:
            marked[step.kind] += 1
        if one.kind == "none":
            false += len(steps)
            continue
        right = [
            step
            for step in steps
            if max(overlap(step.reference, one.reference), overlap(step.query, one.query))
            >= OVERLAP
        ]
        true[one.kind] += 1
        found[one.kind] += bool(right)
        named[one.kind] += any(step.kind == one.kind for step in right)
    return Counts(true, found, named, marked, false)


def line(name: str, counts: Counts) -> str:
    """Return a row of the table."""
    precision = [
        f"{counts.named[kind]} / {counts.marked[kind]}" if counts.marked[kind] else "none"
        for kind in KINDS
    ]
    recall = [f"{counts.named[kind]} / {counts.true[kind]}" for kind in KINDS]
    every = f"{sum(counts.found.values())} / {sum(counts.true.values())}"
    total = f"{sum(counts.found.values())} / {sum(counts.marked.values())}"
    return "| " + " | ".join([name, *recall, *precision, every, total, str(counts.false)]) + " |"


def draw_figure(results: dict[tuple[str, str], list[Query]], file: Path) -> None:
    """Draw precision and recall by limit."""
    encoders = list(dict.fromkeys(encoder for encoder, _ in results))
    figure = Figure(figsize=(10, 0.6 + 2.6 * len(encoders)), layout="constrained")
    rows = figure.subplots(len(encoders), len(SETTINGS), sharex=True, sharey=True, squeeze=False)
    for (encoder, setting), checks in results.items():
        axes = rows[encoders.index(encoder)][SETTINGS.index(setting)]
        swept = [count(checks, float(factor)) for factor in FACTORS]
        for kind in KINDS:
            recall = [counts.found[kind] / max(counts.true[kind], 1) for counts in swept]
            axes.plot(FACTORS, recall, color=STEP_COLOURS[kind], label=f"recall, {kind}")
        total = [sum(counts.marked.values()) for counts in swept]
        precision = [
            sum(counts.found.values()) / marked if marked else np.nan
            for counts, marked in zip(swept, total, strict=True)
        ]
        axes.plot(FACTORS, precision, "k--", label="precision, all")
        axes.axvline(1, color="0.7", linewidth=1, zorder=0)
        axes.set(xscale="log", ylim=(-0.03, 1.03), title=f"{encoder}: {setting}")
        axes.title.set_fontsize(9)
        axes.set_xticks([0.5, 0.7, 1, 1.4], ["0.5", "0.7", "1", "1.4"])
        axes.minorticks_off()
    figure.supxlabel("limit, as a multiple of the one that is set", size=9)
    rows[0][0].legend(fontsize=7)
    figure.savefig(file, dpi=130)


def main() -> None:
    """Check, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("encoders", nargs="+", metavar="ENCODER")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--figure", type=Path, metavar="FILE")
    options = parser.parse_args()
    results: dict[tuple[str, str], list[Query]] = {}
    for encoder in options.encoders:
        embedder = lac.load(encoder)
        for setting in SETTINGS:
            results[encoder, setting] = list(queries(embedder, setting, options.clips))
            print(line(f"{encoder}: {setting}", count(results[encoder, setting], 1.0)), flush=True)
    if options.figure:
        draw_figure(results, options.figure)


if __name__ == "__main__":
    main()
