"""The encoder: frames or frozen features of a clip to one embedding per frame."""

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn import functional as F

from lac.encoder.context import ContextConvolution, Norm, normalisation
from lac.encoder.given import given_features_head
from lac.encoder.lite0 import Lite0Extractor
from lac.encoder.pooling import GridMeans
from lac.encoder.pretrained import PretrainedBackbone, PretrainedExtractor, load_pretrained
from lac.encoder.small import SmallBackbone
from lac.encoder.transformer import Position, TemporalTransformer

if TYPE_CHECKING:
    from lac.data import FrozenExtractor


class Encoder(nn.Module):
    """Backbone, spatial head and temporal transformer.

    Parameters
    ----------
    backbone : {"small", "lite0", "none", "resnet50"} or str
        `"small"`: a network trained from scratch on frames. `"lite0"`: a frozen ImageNet
        network; the encoder then takes its cached features (`extractor` computes them).
        `"none"`: features come from elsewhere and go straight to the temporal transformer.
        `"resnet50"`, or any other vision model of the package transformers by its name on the
        Hugging Face hub or the folder it is in: frozen and cached too, unless `tuned`.
    stage : int
        Hidden state that is read of a model of transformers, -1 for the last.
    tuned : int
        How many of its stages, counted back from that state, are trained; then frames are read.
    channels : int, optional
        Features of a frame of source `"features"`, for backbone `"none"` alone.
    spatial : int
        Channels of the convolutional head on the backbone's maps.
    width : int
        Features of a frame inside the temporal transformer.
    layers, heads : int
        Of the temporal transformer.
    dimension : int
        Features of an embedding.
    dropout : float
        In the head and the transformer, in [0, 1).
    position : {"relative", "none", "absolute"}
        What the transformer knows of time; see `TemporalTransformer`.
    centre : {"crop", "none"}
        `"crop"`: take from a frame's maps their mean over the crop, which leaves what moves.
    context : int
        Layers of convolution over time before the head, as in the authors' model; see
        `ContextConvolution`.
    norm : {"batch", "group"}
        Norms of maps; with `"group"`, training on several processes is as on one.

    Attributes
    ----------
    extractor : FrozenExtractor or None
        The frozen part, if any: no submodule, so checkpoints do not hold it.
    """

    def __init__(
        self,
        *,
        backbone: str = "small",
        stage: int = -1,
        tuned: int = 0,
        channels: int | None = None,
        spatial: int = 32,
        width: int = 128,
        layers: int = 3,
        heads: int = 4,
        dimension: int = 64,
        dropout: float = 0.1,
        position: Position = "relative",
        centre: Literal["crop", "none"] = "crop",
        context: int = 0,
        norm: Norm = "batch",
    ):
        """Create the layers; load the weights of a frozen backbone."""
        super().__init__()
        for name, value in (("spatial", spatial), ("width", width), ("dimension", dimension)):
            if value < 1:
                raise ValueError(f"`{name}` must be >= 1, got {value}")
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1), got {dropout}")
        if context < 0 or (context and backbone == "none"):
            raise ValueError(f"`context` must be >= 0, and 0 for `backbone` 'none', got {context}")
        own = backbone in ("small", "lite0", "none")
        if own and (stage != -1 or tuned != 0):
            raise ValueError(
                f"`stage` and `tuned` are of models of transformers, got {stage} and {tuned}"
                f" for {backbone!r}"
            )
        if (backbone == "none") != (channels is not None) or (channels or 1) < 1:
            raise ValueError(
                f"`channels` must be >= 1 for `backbone` 'none', null for others, got {channels}"
                f" for {backbone!r}"
            )
        self.extractor: FrozenExtractor | None = None
        self.backbone: nn.Module = nn.Identity()
        if backbone == "none":
            pass
        elif backbone == "lite0":
            lite0 = Lite0Extractor()
            self.extractor, channels = lite0, lite0.channels
        elif backbone == "small":
            small = SmallBackbone(norm=norm)
            self.backbone, channels = small, small.channels
        else:
            pretrained = PretrainedBackbone(*load_pretrained(backbone), stage=stage, tuned=tuned)
            channels = pretrained.channels
            if tuned:
                self.backbone = pretrained
            else:
                self.extractor = PretrainedExtractor(pretrained)
        assert channels is not None
        self.centre = centre
        self.dimension = dimension
        self.head: nn.Module
        self.context: ContextConvolution | None = None
        if context:
            self.context = ContextConvolution(channels, spatial, layers=context, norm=norm)
            channels = spatial
        if backbone == "none":
            self.head = given_features_head(channels, width, dropout=dropout)
        else:
            self.head = nn.Sequential(
                nn.Conv2d(channels, spatial, 3, padding=1, bias=False),
                normalisation(norm, spatial),
                nn.ReLU(inplace=True),
                GridMeans(4),
                nn.Flatten(),
                nn.Dropout(dropout),
                nn.Linear(16 * spatial, width),
            )
        self.transformer = TemporalTransformer(
            width=width, layers=layers, heads=heads, dropout=dropout, position=position
        )
        self.embed = nn.Linear(width, dimension)

    def forward(
        self, content: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return embeddings of frames.

        Parameters
        ----------
        content : Tensor of float32, shape (B, T, 3, H, W), (B, T, C, h, w) or (B, T, C)
            Frames in [0, 1], features of the frozen backbone, or given features.
        times : Tensor of float32, shape (B, T)
            Times in frames of the clip.
        mask : Tensor of bool, shape (B, T)
            True where a frame is there. No other frame has a part in any result.

        Returns
        -------
        Tensor of float32, shape (B, T, D)
            Of unit length; zero where no frame is.
        """
        maps = self.backbone(content[mask])  # valid frames alone, so that norms see no padding
        if self.centre == "crop":
            maps = maps - _crop_mean(maps, mask)
        if self.context is not None:
            maps = self.context(maps, mask)
        frames = self.head(maps)
        x = frames.new_zeros(*mask.shape, frames.shape[1])
        x[mask] = frames
        x = self.embed(self.transformer(x, times, mask))
        return F.normalize(x, dim=-1) * mask[..., None]


def _crop_mean(maps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over each crop of maps (F, C, h, w) of its valid frames, repeated for its frames."""
    counts = mask.sum(1)
    return torch.cat([m.mean(0, keepdim=True).expand_as(m) for m in maps.split(counts.tolist())])
