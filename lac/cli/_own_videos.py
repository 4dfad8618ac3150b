"""The user's own videos: from the folder to all settings of training, and to the next command."""

import os
import shlex
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from lac._hints import call
from lac._run_directory import RunDirectory, flat_settings, read_yaml

if TYPE_CHECKING:
    from lac.data.sizing import Sizing, Survey
    from lac.data.sources import Layout
    from lac.evaluation._record import VerdictRecord

PRESET = "own"
FEWEST = 16  # training clips that were seen to be enough, see docs/results/own.md
FROZEN = "lite0"  # what is recommended where training does not help
_PRESETS: "dict[Layout, str]" = {
    "folder": PRESET,
    "grid": PRESET,
    "features": "features",
    "pouring": "pouring",
    "penn_action": "penn_action",
    "penn_action_raw": "penn_action",
}
_VALUELESS = ("-h", "--help", "--help-all", "--print_config")


@dataclass(frozen=True)
class OwnVideos:
    """A folder of videos, what was seen in it, and the settings that follow.

    Attributes
    ----------
    root : Path
        The folder.
    seen : Survey
        What the headers in it tell.
    sizing : Sizing
        What follows from that.
    given : tuple of str
        The options of the sizing that the user has set otherwise.
    """

    root: Path
    seen: "Survey"
    sizing: "Sizing"
    given: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a run on them is called."""
        return self.root.resolve().name or PRESET

    def describe(self) -> Iterator[str]:
        """Say in a few lines what was seen and what follows from it."""
        seen, sizing = self.seen, self.sizing
        yield f"{self.root}: {_clips(len(seen.headers))}, {seen.describe()}"
        held_out = len(seen.val) or "none"
        every = "every frame" if sizing.every == 1 else f"one frame in {sizing.every}"
        given = f"; as given: {', '.join(self.given)}" if self.given else ""
        yield (
            f"To train on: {_clips(len(seen.train))} ({held_out} held out to measure by), {every},"
            f" views of up to {sizing.frames} frames, {sizing.steps(len(seen.train))} steps"
            f" of {sizing.batch_size} pairs of views{given}"
        )
        if len(seen.train) < FEWEST:
            yield (
                f"Only {_clips(len(seen.train))} to train on. Of clips of one procedure {FEWEST}"
                " were enough to learn clearly more than a clock knows, half of them were not. The"
                f" encoder {FROZEN} needs no training: {call('lac.align')} {FROZEN} A B"
            )


def _clips(count: int) -> str:
    return f"{count} clip" + ("" if count == 1 else "s")


def arguments(root: Path, layout: "Layout") -> list[str]:
    """Return the words by which `lac.train` trains on a folder in a layout."""
    from lac.data.sources import recognise

    return [os.fspath(root)] if recognise(root) == layout else _options_of(root, layout)


def command(root: Path, layout: "Layout") -> str:
    """Return the command that trains on a folder in a layout."""
    return f"{call('lac.train')} {shlex.join(arguments(root, layout))}"


def next_command(run: Path, clips: Sequence[Path], verdict: "VerdictRecord | None") -> str | None:
    """Return the command to type after training: what aligns two of the files by what is best.

    Parameters
    ----------
    run : Path
        The run that has ended.
    clips : sequence of Path
        Files of those that were compared.
    verdict : mapping, optional
        What `metrics.json` says of it.

    Returns
    -------
    str or None
        None where nothing was judged, and for clips that no frozen encoder or command reads.
    """
    from lac.data.video.files import SUFFIXES

    videos = [file for file in clips if file.suffix.lower() in SUFFIXES]
    if verdict is None or len(videos) < 2:
        return None
    lows = [low for rival, (_, low, _) in verdict["differences"].items() if rival != "time only"]
    # Better than raw features, on clips that were not trained on.
    learned = verdict["level"] != "worse" and verdict["split"] != "train" and min(lows) > 0
    encoder = os.fspath(run) if learned else FROZEN
    words = [encoder, *map(os.fspath, videos[:2]), "--plot", "align.png"]
    return f"{call('lac.align')} {shlex.join(words)}"


def prepare(args: Sequence[str]) -> tuple[list[str], OwnVideos | None]:
    """Turn `VIDEOS_DIR` among the words of a command line into settings, and size them.

    Parameters
    ----------
    args : sequence of str
        The command line of `lac.train`.

    Returns
    -------
    tuple of list of str and OwnVideos or None
        The command line without the folder, and what was seen where the preset is `own`. What
        the user sets, or another configuration file, is left as it is; so are the settings of a
        run that has been started.

    Raises
    ------
    FileNotFoundError
        If the folder is not there.
    ValueError
        If there are two, or it holds nothing to train on.
    """
    words = list(args)
    places = list(_positional(words))
    if len(places) > 1:
        folders = ", ".join(words[place] for place in places)
        raise ValueError(f"`VIDEOS_DIR` must be one folder, got {folders}")
    if places:
        root = Path(words.pop(places[0]))
        options = _options_of(root, _recognised(root))
        if any(RunDirectory(run).config.exists() for run in _values(words, "--run")):
            options = options[2:]  # the run has its settings, and the folder may have more clips
        words = [*options, *words]
    configs = list(_values(words, "--config", "-c"))
    roots = list(_values(words, "--data.root"))
    own = any(Path(name).stem == PRESET and Path(name).suffix in ("", ".yaml") for name in configs)
    if not own or not roots:
        return words, None
    from lac.data.sizing import size, survey
    from lac.data.sources import LAYOUTS, read_source

    layout = next(reversed(list(_values(words, "--data.source"))), "folder")
    if layout not in LAYOUTS:
        return words, None  # refused where all settings are checked
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # reading for training warns again
        seen = survey(read_source(layout, Path(roots[-1])))  # type: ignore[arg-type]
    sizing = size(seen)
    given = set(_set_elsewhere(configs)) | {word.partition("=")[0] for word in words}
    named = {word.partition("=")[0]: word for word in sizing.arguments()}
    sized = [word for name, word in named.items() if name not in given]
    kept = tuple(name for name in named if name in given)
    return [*sized, *words], OwnVideos(Path(roots[-1]), seen, sizing, kept)


def _recognised(root: Path) -> "Layout":
    """Return the layout of the folder that is given."""
    from lac.data.sources import recognise

    if not root.is_dir():
        found = "a file: give the folder it is in" if root.exists() else "where nothing is"
        if (files("lac") / "configs" / f"{root}.yaml").is_file():
            found += f"; did you mean --config {root}?"
        raise FileNotFoundError(f"`VIDEOS_DIR` must be a folder, got {root}, {found}")
    layout = recognise(root)
    if layout is None:
        raise ValueError(
            f"`VIDEOS_DIR` must hold videos, or a data set that is known, got {root}; see"
            f" {call('lac.data')} check {shlex.quote(os.fspath(root))}"
        )
    return layout


def _options_of(root: Path, layout: "Layout") -> list[str]:
    """Return the options that a folder stands for."""
    return ["--config", _PRESETS[layout], f"--data.source={layout}", f"--data.root={root}"]


def _positional(words: Sequence[str]) -> Iterator[int]:
    """Yield the places of words that are neither an option nor the value of one."""
    place = 0
    while place < len(words):
        word = words[place]
        if not word.startswith("-"):
            yield place
        elif "=" not in word and word not in _VALUELESS:
            place += 1
        place += 1


def _values(words: Sequence[str], *names: str) -> Iterator[str]:
    """Yield the values that an option is given, in order."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names:
            if equals:
                yield value
            elif place + 1 < len(words):
                yield words[place + 1]


def _set_elsewhere(configs: Sequence[str]) -> Iterator[str]:
    """Yield, as options, the names of what configuration files other than the preset set."""
    for name in configs:
        if Path(name).stem != PRESET and Path(name).is_file():
            yield from (f"--{key}" for key, _ in flat_settings(read_yaml(Path(name))))
