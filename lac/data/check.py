"""What a folder holds, what is wrong with it, and how to put it right."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lac._progress import progress
from lac.data._names import visible
from lac.data._usable import count_frames
from lac.data.clip import SPLITS, Clip, Collection
from lac.data.features import SUFFIXES as ARRAY_SUFFIXES
from lac.data.folder import listed, other_files
from lac.data.sources import LAYOUTS, OWN, Layout, read_source, recognise
from lac.data.video.files import SUFFIXES
from lac.data.video.header import shortfall


@dataclass(frozen=True)
class Finding:
    """What is wrong, and how to put it right.

    Attributes
    ----------
    problem, remedy : str
        One sentence each.
    fatal : bool
        Whether training refuses the folder because of it.
    """

    problem: str
    remedy: str
    fatal: bool = True


@dataclass
class Inspection:
    """What was found in a folder.

    Attributes
    ----------
    root : Path
        The folder.
    layout : str or None
        By which it can be read, None if by none.
    facts : list of str
        What it holds, a line each.
    findings : list of Finding
        What is wrong.
    """

    root: Path
    layout: Layout | None = None
    facts: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether training accepts the folder."""
        return not any(finding.fatal for finding in self.findings)


def inspect(root: Path, *, layout: Layout | None = None) -> Inspection:
    """Read a folder as training would, decoding every clip, and go on where training would stop.

    Parameters
    ----------
    root : Path
        The folder.
    layout : str, optional
        Its layout, recognised by what it holds if absent.

    Returns
    -------
    Inspection
    """
    report = Inspection(root, layout)
    if not root.is_dir():
        report.findings.append(Finding(f"{root} is no folder.", "Give the path of a folder."))
        return report
    try:
        report.layout = layout or recognise(root)
        if report.layout is None:
            report.findings.append(_unknown(root))
            return report
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            collection = read_source(report.layout, root)
    except (ValueError, OSError) as error:
        remedy = "Correct what the message names"
        if report.layout is not None:
            remedy += f"; the layout {report.layout!r} holds {LAYOUTS[report.layout].holds}"
        report.findings.append(Finding(f"{error}.", f"{remedy}."))
        return report
    for warning in caught:
        remedy = "Correct labels.json, if this was not meant."
        report.findings.append(Finding(f"{warning.message}.", remedy, fatal=False))
    lengths = _decode(collection, report)
    _describe(collection, lengths, report)
    if report.layout == "folder" and (others := other_files(root)):
        report.findings.append(
            Finding(
                f"No videos by their names: {listed(others)}.",
                f"What is no video is passed over; videos end in {', '.join(SUFFIXES)}.",
                fatal=False,
            )
        )
    return report


def _unknown(root: Path) -> Finding:
    """Say what to do with a folder of no known layout."""
    files = (path for path in visible(root.rglob("*"), root) if path.is_file())
    suffixes = {path.suffix.lower() for path in files}
    if not suffixes.isdisjoint(ARRAY_SUFFIXES):
        return Finding(
            "There are arrays, but not in a layout that is known.",
            f"Move them into {root / 'features'}.",
        )
    layouts = "; ".join(f"{name}: {reader.holds}" for name, reader in LAYOUTS.items())
    return Finding("No layout that is known.", f"The layouts are {layouts}.")


def _decode(collection: Collection, report: Inspection) -> dict[str, int]:
    """Return the frames of the clips that can be used, by name; note what is wrong with others."""
    lengths = {}
    again = "encode it again (ffmpeg -i BAD GOOD.mp4), " if collection.content == "frames" else ""
    skipped = report.layout in OWN
    way_out = (
        "train without it, as happens by itself" if skipped else "train with --data.on_error skip"
    )
    for clip in progress(collection.clips, "Decoding"):
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                lengths[clip.name] = count_frames(clip)
        except (ValueError, OSError) as error:
            report.findings.append(
                Finding(
                    f"{error}.",
                    f"Replace the file, {again}correct its labels, remove it, or {way_out}.",
                    fatal=not skipped,
                )
            )
            continue
        for warning in caught:
            remedy = "Training goes by frame numbers; only lac.embed and lac.align tell the times."
            report.findings.append(Finding(f"{warning.message}.", remedy, fatal=False))
        is_video = clip.path.suffix.lower() in SUFFIXES
        missing = shortfall(clip.path, lengths[clip.name]) if is_video else None
        if missing is not None:
            report.findings.append(
                Finding(
                    f"{clip.path}: {missing}.",
                    "It may have been cut short; the frames that are there are used.",
                    fatal=False,
                )
            )
    return lengths


def _describe(collection: Collection, lengths: dict[str, int], report: Inspection) -> None:
    """Note what the collection holds, and what it lacks for training and evaluation."""
    splits = Counter(clip.split for clip in collection.clips)
    what = "sequences of features" if collection.content == "features" else "clips"
    counts = ", ".join(f"{splits[split]} {split}" for split in SPLITS if splits[split])
    report.facts.append(f"{len(collection.clips)} {what}: {counts}")
    if lengths:
        values = list(lengths.values())
        report.facts.append(
            f"{sum(values)} frames; {min(values)} to {max(values)} in a clip,"
            f" median {int(np.median(values))}"
        )
    actions = sorted({clip.action for clip in collection.clips if clip.action})
    if actions:
        report.facts.append(f"actions: {', '.join(actions)}")
    labelled = [clip for clip in collection.clips if clip.phase is not None]
    if collection.phase_names:
        report.facts.append(
            f"{len(labelled)} labelled clips, {len(collection.phase_names)} phases:"
            f" {', '.join(collection.phase_names)}"
        )
        _describe_phases(collection.phase_names, labelled, report)
    else:
        report.facts.append("no labels: Kendall's tau is measured, phases and retrieval are not")
    if not any(clip.split == "train" and clip.name in lengths for clip in collection.clips):
        report.findings.append(
            Finding("No clip that can be used is in train.", "Name some in `split.train`.")
        )
    if not collection.comparable("val"):
        apart = " of different actions" if splits["val"] >= 2 else ""
        report.findings.append(
            Finding(
                f"Evaluation compares at least two clips of val, got {splits['val']}{apart}.",
                "Have ten clips or more, or name two in `split.val` of labels.json.",
                fatal=False,
            )
        )


def _describe_phases(names: Sequence[str], labelled: Sequence[Clip], report: Inspection) -> None:
    """Note phases that no clip has."""
    used = np.unique(np.concatenate([c.phase for c in labelled if c.phase is not None]))
    missing = [name for index, name in enumerate(names) if index not in used]
    if missing:
        report.findings.append(
            Finding(
                f"No frame is labelled {', '.join(missing)}.",
                "Remove the names from `phase_names`, or label such frames.",
                fatal=False,
            )
        )
