"""The data module: sources, caches and sampling behind Lightning's interface."""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import lightning
import numpy as np
import torch
from torch import distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from lac._progress import progress
from lac.data._content import check_length, read_frames
from lac.data.augment import AUGMENTING, Augmentation
from lac.data.cache import ArrayCache, default_directory
from lac.data.clip import Clip, Collection, Content
from lac.data.features import read_features
from lac.data.folder import read_folder
from lac.data.sources import LAYOUTS, Source, read_source
from lac.data.synthetic import Rendered, render
from lac.data.video.files import VideoError
from lac.data.video.frames import decoding
from lac.data.views import TwoViews


class FrozenExtractor(Protocol):
    """A backbone that is not trained: the model side supplies it, the data side caches it.

    Attributes
    ----------
    name : str
        Names architecture, weights and layer: part of the cache's key.
    image_size : int
        Side in pixels of the frames it wants.
    """

    name: str
    image_size: int

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return features, (T, C) or (T, C, h, w) float, of uint8 frames (T, 3, H, W)."""


class ClipDataModule(lightning.LightningDataModule):
    """Two-view batches of the clips of a source.

    A training batch is a dict of tensors: `frames` (B, 2, T, 3, H, W) float32 in [0, 1], or
    `features` (B, 2, T, C[, h, w]) float32 with an extractor or from source `"features"`;
    `times` (B, 2, T) float32, in frames of the clip; `mask` (B, 2, T) bool, true where a frame
    is there; `clip` (B,) int64, index into the split. What a batch holds depends on `seed`, the
    epoch and its place alone, not on workers nor on the state of any generator.

    Parameters
    ----------
    source : {"rendered", "folder", "features", "pouring", "penn_action", "penn_action_raw", "grid"}
        Clips drawn by `lac.data.synthetic.rendered`, or a folder in one of the layouts of
        `lac.data.sources`; `python -m lac.data check DIR` tells which.
    root : Path, optional
        Folder of the clips. For `"rendered"` it is where they are drawn, by default the cache.
    action : str, optional
        The one action whose clips are read, for the sources that have several; all if null.
    frames : int
        Frames of a view, >= 2.
    batch_size : int
        Clips in a batch, >= 1.
    image_size : int
        Side in pixels of the frames.
    every : int
        Take every so many frames of each clip, >= 1, as if it had been filmed so: for long clips
        and fast cameras. Times then count the frames that are taken.
    min_crop : float
        Shortest temporal crop as a share of the clip, in (0, 1].
    pairs_per_clip : int
        How often an epoch visits each clip, >= 1.
    augmentation : Augmentation, optional
        Changes of the training views; none if null.
    feature_copies : int
        Augmented copies of each training clip whose features are cached, beside the plain one.
    on_error : {"refuse", "skip"}
        What to do about a clip that cannot be read, is too short, or is labelled for another
        length: refuse to begin, or go on without it and list it in `left_out`.
    workers : int
        Processes that prepare batches; 0 prepares them in the training process.
    seed : int
        Decides sampling and augmentation, >= 0.
    rendered : Rendered
        What to draw for source `"rendered"`.
    cache : Path, optional
        Folder of decoded frames and features, by default `lac` in the user's cache folder.

    Attributes
    ----------
    extractor : FrozenExtractor or None
        Set it before `setup` to train on cached features.
    first_epoch : int
        Epoch of the first batches; set it where training goes on.
    collection : Collection
        The clips, after `setup`.
    left_out : dict of str to str
        After `setup`, the files that were skipped and why; empty unless `on_error` is `"skip"`.
    """

    collection: Collection

    def __init__(
        self,
        *,
        source: Source = "rendered",
        root: Path | None = None,
        action: str | None = None,
        frames: int = 32,
        batch_size: int = 8,
        image_size: int = 64,
        every: int = 1,
        min_crop: float = 0.5,
        pairs_per_clip: int = 1,
        augmentation: Augmentation | None = Augmentation(),  # noqa: B008
        feature_copies: int = 4,
        on_error: Literal["refuse", "skip"] = "refuse",
        workers: int = 0,
        seed: int = 0,
        rendered: Rendered = Rendered(),  # noqa: B008
        cache: Path | None = None,
    ):
        """Check and keep the settings; reads nothing."""
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("image_size", image_size, 8),
            ("every", every, 1),
            ("pairs_per_clip", pairs_per_clip, 1),
            ("feature_copies", feature_copies, 0),
            ("workers", workers, 0),
            ("seed", seed, 0),
        ):
            if value < least:
                raise ValueError(f"`{name}` must be >= {least}, got {value}")
        if source not in ("rendered", *LAYOUTS):
            names = ", ".join(("rendered", *LAYOUTS))
            raise ValueError(f"`source` must be one of {names}, got {source!r}")
        if source != "rendered" and root is None:
            raise ValueError(f"`root` must name a folder when `source` is {source!r}, got None")
        if on_error not in ("refuse", "skip"):
            raise ValueError(f"`on_error` must be 'refuse' or 'skip', got {on_error!r}")
        views = TwoViews(frames=frames, min_crop=min_crop)
        self.source = source
        self.action = action
        self.on_error = on_error
        self.views = views
        self.batch_size = batch_size
        self.image_size = image_size
        self.every = every
        self.pairs_per_clip = pairs_per_clip
        self.augmentation = augmentation
        self.feature_copies = feature_copies
        self.workers = workers
        self.seed = seed
        self.rendered = rendered
        self.cache = ArrayCache(Path(cache) if cache else default_directory())
        self.root = Path(root) if root else self.cache.directory / "rendered" / rendered.folder_name
        self.extractor: FrozenExtractor | None = None
        self.first_epoch = 0
        self._arrays: dict[Path, np.ndarray] = {}
        self.left_out: dict[str, str] = {}
        self._ready = False

    @property
    def content(self) -> Content:
        """Tell what batches hold: `"frames"`, or `"features"` given or extracted."""
        given = self.source == "features" or self.extractor is not None
        return "features" if given else "frames"

    def prepare_data(self) -> None:
        """Draw, decode and extract whatever is not cached, on one process."""
        self.setup(None if self.trainer is None else self.trainer.state.fn)

    def setup(self, stage: str | None = None) -> None:
        """Read the source and check every clip; what is cached already takes little time.

        Raises
        ------
        FileNotFoundError
            If the folder is missing, or a part of it.
        ValueError
            If the folder or its labels are not as the source's are, or no clip is there to train
            on. Unless such clips are skipped: if a file cannot be read or has fewer than two
            frames, or a clip has more or fewer labels than frames.
        """
        collection = self.collection if self._ready else self._read_source()
        if not collection.select("train") and stage in (None, "fit"):
            raise ValueError(f"`root` must hold a training clip, got none in {self.root}")
        if self._ready:
            return
        good = []
        for clip in progress(collection.clips, "Reading clips"):
            try:
                check_length(clip, self._prepare(clip), every=self.every)
            except (ValueError, OSError) as error:
                if self.on_error == "refuse":
                    raise
                reason = str(error)
                named = str(clip.path) in reason
                self.left_out[str(clip.path)] = reason if named else f"{clip.path}: {reason}"
            else:
                phase = None if clip.phase is None else clip.phase[:: self.every]
                good.append(replace(clip, phase=phase))
        collection = replace(collection, clips=tuple(good))
        if self.left_out and stage in (None, "fit") and not collection.select("train"):
            raise ValueError(
                f"`root` must hold a training clip that can be used, got none in {self.root}: "
                + "; ".join(self.left_out.values())
            )
        self.collection = collection
        self._ready = True

    def length(self, clip: Clip) -> int:
        """Return the number of frames of a clip."""
        if self.source == "features":
            return len(self._given(clip))
        return len(self._decoded(clip, self._size))

    def load(self, clip: Clip) -> np.ndarray:
        """Return the frames of a clip, uint8, shape (T, 3, H, W), H = W = `image_size`."""
        return np.array(self._decoded(clip, self.image_size))

    def features(self, clip: Clip) -> np.ndarray:
        """Return the features of the plain clip, given or extracted, (T, C) or (T, C, h, w)."""
        if self.source == "features":
            return np.array(self._given(clip))
        return np.array(self._feature(clip, seed=None))

    def to_extract(self) -> int:
        """Return how many clips and copies of clips have no features in the cache yet."""
        if self.extractor is None:
            return 0
        return sum(
            not self.cache.holds(clip.path, self._recipe(seed))
            for clip in (self.collection if self._ready else self._read_source()).clips
            if clip.path.exists()
            for seed in self._seeds(clip)
        )

    def sample(self, count: int) -> np.ndarray:
        """Return so many frames of one clip, as the extractor wants them, to try it out.

        Raises
        ------
        ValueError
            If no clip can be read.
        """
        assert self.extractor is not None
        reason = "there is none"
        for clip in (self.collection if self._ready else self._read_source()).clips:
            try:
                frames = self._decoded(clip, self.extractor.image_size)[:count]
            except (ValueError, OSError) as error:
                reason = str(error)
            else:
                return np.resize(frames, (count, *frames.shape[1:]))  # a short clip is repeated
        raise ValueError(f"`root` must hold a clip that can be read, got none: {reason}")

    def train_dataloader(self) -> DataLoader:
        """Return batches of two augmented views."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader | list:
        """Return batches of two plain views, the same in every epoch."""
        return self._loader("val", shuffle=False) if self.collection.select("val") else []

    @property
    def _size(self) -> int:
        """Side of the frames that are decoded."""
        return self.image_size if self.extractor is None else self.extractor.image_size

    @property
    def _taken(self) -> str:
        """Say which frames are taken, for the keys of caches."""
        return "" if self.every == 1 else f" every {self.every}"

    def _read_source(self) -> Collection:
        """Return the clips there are, drawn first where that is the source."""
        if self.source == "rendered":
            render(self.root, self.rendered)
            return read_folder(self.root)
        return read_source(self.source, self.root, action=self.action)

    def _prepare(self, clip: Clip) -> int:
        """Decode and extract what a clip needs, unless it is cached; return its length."""
        if self.content == "features":
            return len(self._copies(clip)[0])
        return self.length(clip)

    def _decoded(self, clip: Clip, size: int) -> np.ndarray:
        """Return the frames of a clip at a size, decoded once."""
        if self.source == "features":
            raise RuntimeError(f"clips of features have no frames, asked for those of {clip.name}")

        if not clip.path.exists():  # before its content is asked for as a key
            raise VideoError(f"{clip.path}: no such file")
        return self.cache.get(
            clip.path,
            f"frames {decoding()} {size}{self._taken}",
            lambda: read_frames(clip.path, size=size, every=self.every),
        )

    def _given(self, clip: Clip) -> np.ndarray:
        """Return the features of source `"features"`, read once."""
        if clip.path not in self._arrays:
            self._arrays[clip.path] = read_features(clip.path)[:: self.every]
        return self._arrays[clip.path]

    def _copies(self, clip: Clip) -> list[np.ndarray]:
        """Return features of the plain clip and, in training, of its augmented copies."""
        if self.source == "features":
            return [self._given(clip)]
        return [self._feature(clip, seed=seed) for seed in self._seeds(clip)]

    def _seeds(self, clip: Clip) -> list[int | None]:
        """Return what decides each copy of a clip whose features are wanted, None for plain."""
        augmented = clip.split == "train" and self.augmentation is not None
        copies = range(1, 1 + self.feature_copies) if augmented else ()
        return [None, *(zlib.crc32(f"{self.seed} {clip.name} {copy}".encode()) for copy in copies)]

    def _feature(self, clip: Clip, *, seed: int | None) -> np.ndarray:
        """Return features of one copy of a clip, extracted once; without a seed it is plain."""
        if self.extractor is None:
            raise RuntimeError("`extractor` must be set before features are asked for, got None")
        extractor = self.extractor

        def compute() -> np.ndarray:
            frames = self._decoded(clip, extractor.image_size)
            if self.augmentation is None or seed is None:
                return extractor(frames)
            pictures = torch.tensor(frames) / 255
            views = self.augmentation(pictures, size=extractor.image_size, seed=seed)
            return extractor((views * 255).round().to(torch.uint8).numpy())

        return self.cache.get(clip.path, self._recipe(seed), compute)

    def _recipe(self, seed: int | None) -> str:
        """Name all that cached features of a copy of a clip depend on beside its file."""
        assert self.extractor is not None
        augmentation = None if seed is None else self.augmentation
        return (
            f"features {self.extractor.name} {decoding()} {self.extractor.image_size}"
            f" {AUGMENTING} {augmentation} {seed}{self._taken}"
        )

    def _loader(self, split: str, *, shuffle: bool) -> DataLoader:
        """Return a loader of two-view batches of a split."""
        dataset = _TwoViewDataset(self, split)
        sampler = _EpochSampler(
            len(dataset), self.pairs_per_clip if shuffle else 1, self.seed, shuffle=shuffle
        )
        # Lightning tells the epoch too, but when workers have begun on the first batches.
        sampler.set_epoch(self.first_epoch)
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )


class _EpochSampler(Sampler):
    """Yield (epoch, visit, clip): the epoch travels with the index, so workers can live on.

    Each of several training processes takes every so many-th, so that together they see the
    batches that one process with larger batches would; the first are seen again where the number
    of clips is no multiple of theirs.
    """

    def __init__(self, clips: int, visits: int, seed: int, *, shuffle: bool):
        self.clips, self.visits, self.seed, self.shuffle = clips, visits, seed, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the epoch from the trainer, which calls this before each."""
        self.epoch = epoch if self.shuffle else 0

    def __len__(self) -> int:
        return -(-self.clips * self.visits // _processes()[1])

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        rank, processes = _processes()
        everything = list(self._all())
        everything += everything[: len(self) * processes - len(everything)]
        return iter(everything[rank::processes])

    def _all(self) -> Iterator[tuple[int, int, int]]:
        """Yield what all processes together see in an epoch."""
        for visit in range(self.visits):
            order = np.arange(self.clips)
            if self.shuffle:
                order = np.random.default_rng([self.seed, self.epoch, visit]).permutation(order)
            for clip in order.tolist():
                yield self.epoch, visit, clip


def _processes() -> tuple[int, int]:
    """Return the number of this training process, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class _TwoViewDataset(Dataset):
    """Draw two views of a clip, padded to the same number of frames."""

    def __init__(self, data: ClipDataModule, split: str):
        self.clips = data.collection.select(split)
        self.views = data.views
        self.seed = data.seed
        self.augmentation = data.augmentation if split == "train" else None
        self.size = data.image_size
        self.content = data.content
        if data.content == "frames":
            self.arrays = [[data._decoded(clip, self.size)] for clip in self.clips]
        else:
            self.arrays = [data._copies(clip) for clip in self.clips]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, at: tuple[int, int, int]) -> dict[str, Any]:
        epoch, visit, clip = at
        rng = np.random.default_rng([self.seed, epoch, visit, clip])
        copies = self.arrays[clip]
        numbers = self.views(len(copies[0]), rng)
        padded = self.views.frames
        times = torch.zeros(2, padded)
        mask = torch.zeros(2, padded, dtype=torch.bool)
        content = []
        for view, chosen in enumerate(numbers):
            times[view, : len(chosen)] = torch.from_numpy(chosen)
            mask[view, : len(chosen)] = True
            values = self._content(copies[rng.integers(len(copies))][chosen], rng)
            content.append(
                torch.cat([values, values.new_zeros(padded - len(chosen), *values.shape[1:])])
            )
        return {self.content: torch.stack(content), "times": times, "mask": mask, "clip": clip}

    def _content(self, values: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        """Return features as they are, frames as floats, augmented in training."""
        if self.content == "features":
            return torch.from_numpy(values.astype(np.float32))
        frames = torch.from_numpy(values).float() / 255
        if self.augmentation is None:
            return frames
        return self.augmentation(frames, size=self.size, seed=int(rng.integers(2**62)))
