"""The data module: sources, caches and sampling behind Lightning's interface."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import lightning
import numpy as np
from torch.utils.data import DataLoader

from lac.data._usable import usable
from lac.data.augment import Augmentation
from lac.data.cache import ArrayCache, default_directory
from lac.data.clip import Clip, Collection, Content
from lac.data.dataset import TwoViewDataset, Views
from lac.data.decoded import DecodedFrames
from lac.data.extracted import ExtractedFeatures, FrozenExtractor
from lac.data.features import read_features
from lac.data.folder import read_folder
from lac.data.sampler import EpochSampler
from lac.data.sources import LAYOUTS, Source, read_source
from lac.data.synthetic import Rendered, render
from lac.data.views import TwoViews

Batches = Literal["mixed", "one_action"]


class ClipDataModule(lightning.LightningDataModule):
    """Two-view batches of the clips of a source.

    A training batch is a dict of tensors: `frames` (B, 2, T, 3, H, W) float32 in [0, 1], or
    `features` (B, 2, T, C[, h, w]) float32 with an extractor or from source `"features"`;
    `times` (B, 2, T) float32, in frames of the clip; `mask` (B, 2, T) bool, true where a frame
    is there; `clip` (B,) int64, index into the split; where clips show several actions, `action`
    (B,) int64, which of them. What a batch holds depends on `seed`, the
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
    batches : {"mixed", "one_action"}
        Whether training batches are of any clips, or as far as they go of one action each, for
        losses that learn across clips. Where there is one action it is the same.
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
        batches: Batches = "mixed",
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
        if batches not in get_args(Batches):
            raise ValueError(f"`batches` must be one of {get_args(Batches)}, got {batches!r}")
        views = TwoViews(frames=frames, min_crop=min_crop)
        self.source = source
        self.action = action
        self.on_error = on_error
        self.views = views
        self.batch_size = batch_size
        self.image_size = image_size
        self.every = every
        self.batches: Batches = batches
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
        self.left_out: dict[str, str] = {}
        self._frames = DecodedFrames(self.cache, every=every)
        self._features: dict[Path, np.ndarray] = {}
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
        collection, self.left_out = usable(
            collection,
            lambda clip: len(self._arrays(clip)[0]),  # decodes and extracts what is not cached
            every=self.every,
            on_error=self.on_error,
        )
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
        size = self.image_size if self.extractor is None else self.extractor.image_size
        return len(self._decoded(clip, size))

    def load(self, clip: Clip) -> np.ndarray:
        """Return the frames of a clip, uint8, shape (T, 3, H, W), H = W = `image_size`."""
        return np.array(self._decoded(clip, self.image_size))

    def features(self, clip: Clip) -> np.ndarray:
        """Return the features of the plain clip, given or extracted, (T, C) or (T, C, h, w)."""
        if self.source == "features":
            return np.array(self._given(clip))
        return np.array(self._extracted.plain(clip))

    def to_extract(self) -> int:
        """Return how many clips and copies of clips have no features in the cache yet."""
        if self.extractor is None:
            return 0
        clips = (self.collection if self._ready else self._read_source()).clips
        return sum(self._extracted.missing(clip) for clip in clips if clip.path.exists())

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

    def train_dataloader(self) -> DataLoader[Views]:
        """Return batches of two augmented views."""
        return self._loader("train")

    def val_dataloader(
        self,
    ) -> DataLoader[Views] | list[DataLoader[Views]]:
        """Return batches of two plain views, the same in every epoch."""
        return self._loader("val") if self.collection.select("val") else []

    def _read_source(self) -> Collection:
        """Return the clips there are, drawn first where that is the source."""
        if self.source == "rendered":
            render(self.root, self.rendered)
            return read_folder(self.root)
        return read_source(self.source, self.root, action=self.action)

    def _arrays(self, clip: Clip) -> list[np.ndarray]:
        """Return what the views of a clip are taken from: its frames, or features of its copies."""
        if self.source == "features":
            return [self._given(clip)]
        if self.content == "features":
            return self._extracted.all(clip)
        return [self._decoded(clip, self.image_size)]

    def _given(self, clip: Clip) -> np.ndarray:
        """Return the features of source `"features"`, read once."""
        if clip.path not in self._features:
            self._features[clip.path] = read_features(clip.path)[:: self.every]
        return self._features[clip.path]

    def _decoded(self, clip: Clip, size: int) -> np.ndarray:
        """Return the frames of a clip at a size, decoded once."""
        if self.source == "features":
            raise RuntimeError(f"clips of features have no frames, asked for those of {clip.name}")
        return self._frames(clip, size=size)

    @property
    def _extracted(self) -> ExtractedFeatures:
        """Features by the extractor that was set."""
        if self.extractor is None:
            raise RuntimeError("`extractor` must be set before features are asked for, got None")
        return ExtractedFeatures(
            self.extractor,
            self._frames,
            augmentation=self.augmentation,
            copies=self.feature_copies,
            seed=self.seed,
        )

    def _loader(self, split: Literal["train", "val"]) -> DataLoader[Views]:
        """Return a loader of two-view batches of a split."""
        training = split == "train"
        clips = self.collection.select(split)
        actions = self._actions(clips)
        dataset = TwoViewDataset(
            [self._arrays(clip) for clip in clips],
            content=self.content,
            views=self.views,
            augmentation=self.augmentation if training else None,
            size=self.image_size,
            seed=self.seed,
            actions=actions,
        )
        sampler = EpochSampler(
            len(dataset),
            self.pairs_per_clip if training else 1,
            self.seed,
            shuffle=training,
            actions=actions if training and self.batches == "one_action" else None,
            batch_size=self.batch_size,
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

    def _actions(self, clips: Sequence[Clip]) -> list[int] | None:
        """Number the actions of clips, None where all clips there are show one."""
        numbers = {
            action: number
            for number, action in enumerate(
                sorted({clip.action for clip in self.collection.clips}, key=str)
            )
        }
        return [numbers[clip.action] for clip in clips] if len(numbers) > 1 else None
