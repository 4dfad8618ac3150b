"""Two views of a clip, as a batch wants them: drawn, augmented, padded to one number of frames."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch.utils.data import Dataset

from lac.data.augment import Augmentation
from lac.data.clip import Content
from lac.data.views import TwoViews

#: Two views of a clip: its frames or features, times and mask, and the number of the clip.
Views: TypeAlias = dict[str, torch.Tensor | int]

Place: TypeAlias = tuple[int, int, int]  # epoch, visit, clip: with the seed they decide all


class TwoViewDataset(Dataset[Views]):
    """Draw two views of a clip, padded to the same number of frames.

    Parameters
    ----------
    clips : sequence of sequence of ndarray
        Of each clip the frames, uint8 (T, 3, H, W), or the features of its copies, (T, ...); a
        view takes one of the copies.
    content : {"frames", "features"}
        Which of the two they are.
    views : TwoViews
        Draws the frames of a view.
    augmentation : Augmentation, optional
        Changes of frames; none if null.
    size : int
        Side of the augmented frames in pixels.
    seed : int
        Decides sampling and augmentation, with the place that is asked for.
    actions : sequence of int, optional
        What each clip shows, told as `action` with its views.
    """

    def __init__(
        self,
        clips: Sequence[Sequence[np.ndarray]],
        *,
        content: Content,
        views: TwoViews,
        augmentation: Augmentation | None,
        size: int,
        seed: int,
        actions: Sequence[int] | None = None,
    ):
        """Keep the clips; nothing is drawn yet."""
        self.clips, self.content, self.views = clips, content, views
        self.augmentation, self.size, self.seed = augmentation, size, seed
        self.actions = actions

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.clips)

    def __getitem__(self, place: Place) -> Views:
        """Return the two views of a clip in a visit of an epoch."""
        epoch, visit, clip = place
        rng = np.random.default_rng([self.seed, epoch, visit, clip])
        copies = self.clips[clip]
        numbers = self.views(len(copies[0]), rng)
        padded = self.views.frames
        times = torch.zeros(2, padded)
        mask = torch.zeros(2, padded, dtype=torch.bool)
        content = []
        for view, chosen in enumerate(numbers):
            times[view, : len(chosen)] = torch.from_numpy(chosen)
            mask[view, : len(chosen)] = True
            values = self._values(copies[int(rng.integers(len(copies)))][chosen], rng)
            content.append(
                torch.cat([values, values.new_zeros(padded - len(chosen), *values.shape[1:])])
            )
        views: Views = {"times": times, "mask": mask, "clip": clip}
        views[self.content] = torch.stack(content)
        if self.actions is not None:
            views["action"] = self.actions[clip]
        return views

    def _values(self, values: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        """Return features as they are, frames as floats, augmented in training."""
        if self.content == "features":
            return torch.from_numpy(values.astype(np.float32))
        frames = torch.from_numpy(values).float() / 255
        if self.augmentation is None:
            return frames
        return self.augmentation(frames, size=self.size, seed=int(rng.integers(2**62)))
