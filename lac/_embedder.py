"""A trained run or a frozen encoder as a module: frames in, embeddings out."""

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from lac._loadable import is_frozen, require
from lac._run_directory import RunDirectory
from lac.data.video.frames import resize
from lac.encoder.frozen import FROZEN, FrozenEncoder
from lac.losses import Loss

if TYPE_CHECKING:
    from lac._module import EmbeddingModule
    from lac.encoder import Encoder


class Embedder(nn.Module):
    """Embed the frames of a whole video; `lac.load` makes it.

    Parameters
    ----------
    encoder : Encoder or FrozenEncoder
        As trained, or frozen.
    loss : Loss
        As trained; its temperatures and gap penalties are what embeddings are aligned with.
    image_size : int or None
        Side in pixels of the frames that the encoder takes, None if it takes features.
    channels : int or None
        Width of those features, None if it takes frames.
    every : int
        Training used one frame in so many of each clip; do the same with a video:
        `embed(frames[:: embed.every])`.

    Attributes
    ----------
    encoder, loss, image_size, channels, every
        See above.
    dimension : int
        Features of an embedding, D.
    """

    def __init__(
        self,
        encoder: "Encoder | FrozenEncoder",
        loss: Loss,
        *,
        image_size: int | None,
        channels: int | None = None,
        every: int = 1,
    ):
        """Keep the parts of a trained module, or a frozen encoder."""
        super().__init__()
        self.encoder = encoder
        self.loss = loss
        self.image_size = image_size
        self.channels = channels
        self.every = every
        self.dimension: int = encoder.dimension
        self.eval().requires_grad_(False)

    @torch.inference_mode()
    def forward(
        self, frames: np.ndarray | torch.Tensor, times: np.ndarray | None = None
    ) -> torch.Tensor:
        """Return the embeddings of all frames of one video.

        Parameters
        ----------
        frames : ndarray or Tensor of uint8, shape (T, 3, H, W)
            RGB. The short side is resized to the size of training and the centre is cut out, as
            in training. For runs on features: floats of shape (T, C).
        times : ndarray of float, shape (T,), optional
            Place of each frame in the video, increasing, in frames taken as in training; 0, 1,
            2, ... if absent. With every third frame of a video give 0, 3, 6, ...

        Returns
        -------
        Tensor of float32, shape (T, D), on the module's device
            Of unit length.

        Raises
        ------
        TypeError
            If `frames` is not uint8 (for runs on features: not of floats).
        ValueError
            If a shape is wrong, or `times` do not increase.
        """
        array = frames.numpy(force=True) if isinstance(frames, torch.Tensor) else frames
        content = self._content(array)
        device = next(self.parameters()).device
        when = np.arange(len(array)) if times is None else np.asarray(times, dtype=np.float64)
        if when.shape != (len(array),) or (np.diff(when) <= 0).any():
            raise ValueError(
                f"`times` must increase, one a frame ({len(array)}), got shape {when.shape}"
            )
        place = torch.from_numpy(when).float().to(device)[None]
        mask = torch.ones(1, len(array), dtype=torch.bool, device=device)
        embeddings: torch.Tensor = self.encoder(content.to(device)[None], place, mask)[0]
        return embeddings.float()

    def _content(self, frames: np.ndarray) -> torch.Tensor:
        """Return what the encoder takes: frames in [0, 1], or features."""
        if self.image_size is None:
            if frames.dtype.kind != "f":
                raise TypeError(f"`frames` must be floats for this run, got {frames.dtype}")
            if frames.ndim != 2 or frames.shape[1] != self.channels or len(frames) == 0:
                raise ValueError(
                    f"`frames` must be (T, {self.channels}) for this run, got {frames.shape}"
                )
            return torch.tensor(frames, dtype=torch.float32)
        if frames.dtype != np.uint8:
            raise TypeError(f"`frames` must be uint8, got {frames.dtype}")
        if frames.ndim != 4 or frames.shape[1] != 3 or 0 in frames.shape:
            raise ValueError(f"`frames` must be (T, 3, H, W), got {frames.shape}")
        small = resize(frames, size=self.image_size)
        if self.encoder.extractor is not None:
            return torch.from_numpy(self.encoder.extractor(small)).float()
        return torch.tensor(small).float() / 255


def load(
    run: str | PathLike[str], *, checkpoint: Literal["last", "best"] = "last", device: str = "cpu"
) -> Embedder:
    """Load a run of `lac.train`, or a frozen encoder by its name, to embed videos with it.

    Parameters
    ----------
    run : str or path
        Run directory, whose clips are not needed; or, as a string, the name of an encoder that
        needs no training: `"lite0"`, an ImageNet network (extra `lite0`), best of them as far as
        measured; `"small"`, shipped with lac; or `"pixels"`, the pictures themselves, to compare
        with.
    checkpoint : {"last", "best"}
        Which weights of a run. They are read as plain tensors (`weights_only`): no code in them
        is run.
    device : str
        Where the module computes; features of frozen networks are computed on the CPU.

    Returns
    -------
    Embedder
        In evaluation mode.

    Raises
    ------
    FileNotFoundError
        If `run` is neither a run directory nor a name, or has no such checkpoint.
    ModuleNotFoundError
        If the package with the weights of a frozen encoder is not installed.
    ValueError
        If a configuration or checkpoint is damaged, if a run directory in the working directory
        has the name of a frozen encoder, or a checkpoint other than the last is asked of one.

    Examples
    --------
    >>> embed = load("pixels")
    >>> embed(np.random.default_rng(0).integers(0, 256, (5, 3, 48, 64), np.uint8)).shape
    torch.Size([5, 192])
    """
    require(run, checkpoint)
    if is_frozen(run):
        encoder, loss, side = FROZEN[str(run)]()
        return Embedder(encoder, loss, image_size=side).to(device)
    directory = RunDirectory(run)
    settings = directory.read_settings()
    module = _configured(settings["model"])
    module.load_state_dict(directory.read_checkpoint(checkpoint)["state_dict"])
    data = settings["data"]
    channels: int | None = None
    size: int | None = None
    if data["source"] == "features":
        channels = settings["model"]["encoder"]["init_args"]["channels"]
    else:
        extractor = module.encoder.extractor
        size = data["image_size"] if extractor is None else extractor.image_size
    every = data.get("every", 1)  # absent in older runs
    made = Embedder(module.encoder, module.loss, image_size=size, channels=channels, every=every)
    return made.to(device)


def _configured(settings: Mapping[str, Any]) -> "EmbeddingModule":
    """Build the module that a run's configuration describes."""
    from jsonargparse import ArgumentParser  # here, as frozen encoders need neither

    from lac._module import EmbeddingModule

    parser = ArgumentParser()
    parser.add_class_arguments(EmbeddingModule, "model")
    parsed = parser.parse_object({"model": settings})
    module: EmbeddingModule = parser.instantiate_classes(parsed).model
    return module
