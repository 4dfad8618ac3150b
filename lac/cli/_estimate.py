"""How long training will take on this machine as it is now, by trying a little of it."""

import copy
import time
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from lac._progress import announced, duration

if TYPE_CHECKING:
    from lac._settings.run_cli import RunCLI
    from lac.cli._own_videos import OwnVideos
    from lac.data import ClipDataModule

_TIMED = 3  # steps, after one that is not
_TRIED = 16  # frames that are extracted


@dataclass(frozen=True)
class Estimate:
    """Seconds of the parts of a training.

    Attributes
    ----------
    frames : int
        Frames whose features are not in the cache yet, every copy counted.
    steps : int
        Steps of training.
    per_frame, per_step : float
        Seconds, measured.
    """

    frames: int
    steps: int
    per_frame: float
    per_step: float

    @property
    def seconds(self) -> float:
        """Of all frames and steps."""
        return self.frames * self.per_frame + self.steps * self.per_step

    def describe(self) -> str:
        """Say it in a line.

        Examples
        --------
        >>> Estimate(frames=600, steps=400, per_frame=0.03, per_step=0.3).describe()
        'About 2 min at present load: 18 s for features of 600 frames (kept), 2 min for 400 steps.'
        """
        training = f"{duration(self.steps * self.per_step)} for {self.steps} steps"
        if not self.frames:
            return f"About {training} at present load; the features are there already."
        features = (
            f"{duration(self.frames * self.per_frame)} for features of {self.frames} frames (kept)"
        )
        return f"About {duration(self.seconds)} at present load: {features}, {training}."


def estimate(cli: "RunCLI", own: "OwnVideos") -> Estimate:
    """Extract features of a few frames, take a few steps on noise, and calculate the rest.

    Nothing of the run is changed by it, generators of random numbers included, but for the number
    of threads: on busy processors one is faster than several, and what is faster is left set.
    """
    data = cli.datamodule
    kept = [header.frames // data.every for header in own.seen.headers]
    with announced("Trying out how long it will take"):
        copies = data.to_extract()
        frames = round(copies * sum(kept) / len(kept))
        per_frame = _seconds_per_frame(data) if frames else 0.0
        return Estimate(frames, _steps(cli, len(own.seen.train)), per_frame, _seconds_per_step(cli))


def _steps(cli: "RunCLI", clips: int) -> int:
    """Return how many steps a run takes on so many clips."""
    data, trainer = cli.datamodule, cli.trainer
    an_epoch = ceil(clips * data.pairs_per_clip / data.batch_size)
    limits = [
        limit for limit in (trainer.max_steps, (trainer.max_epochs or -1) * an_epoch) if limit >= 0
    ]
    return min(limits)


def _seconds_per_frame(data: "ClipDataModule") -> float:
    """Return how long extraction takes for a frame, by the faster number of threads."""
    assert data.extractor is not None
    frames = data.sample(_TRIED)
    data.extractor(frames[:2])  # the first call is slower
    found = {}
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        began = time.perf_counter()
        data.extractor(frames)
        found[threads] = (time.perf_counter() - began) / _TRIED
    fastest = min(found, key=found.__getitem__)
    torch.set_num_threads(fastest)
    return found[fastest]


def _seconds_per_step(cli: "RunCLI") -> float:
    """Return how long a step of training takes, on features that are noise."""
    data, threads = cli.datamodule, torch.get_num_threads()
    device = cli.trainer.strategy.root_device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_num_threads(cli.config.threads)
        try:
            module = copy.deepcopy(cli.model).to(device).train()
            shape = (data.batch_size, 2, data.views.frames)
            batch = {
                data.content: torch.rand(*shape, *_shape_of_a_frame(data), device=device),
                "times": torch.arange(shape[2], device=device).float().expand(shape),
                "mask": torch.ones(shape, dtype=torch.bool, device=device),
            }
            seconds = []
            for _ in range(1 + _TIMED):
                began = time.perf_counter()
                loss = module.loss(module(batch), batch["times"], batch["mask"])["loss"]
                loss.backward()
                loss.item()  # the step is over
                seconds.append(time.perf_counter() - began)
            return median(seconds[1:])  # the first may compile kernels
        finally:
            torch.set_num_threads(threads)


def _shape_of_a_frame(data: "ClipDataModule") -> tuple[int, ...]:
    """Return the shape of what the encoder reads of a frame."""
    if data.extractor is None:
        return 3, data.image_size, data.image_size
    size = data.extractor.image_size
    return data.extractor(np.zeros((1, 3, size, size), np.uint8)).shape[1:]
