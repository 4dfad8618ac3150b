"""Backbones and the temporal transformer: frames of a clip to one embedding per frame."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.encoder._encoder import Encoder
    from lac.encoder.lite0 import Lite0Extractor
    from lac.encoder.small import SmallBackbone
    from lac.encoder.transformer import TemporalTransformer
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "_encoder": ("Encoder",),
            "lite0": ("Lite0Extractor",),
            "small": ("SmallBackbone",),
            "transformer": ("TemporalTransformer",),
        },
    )

__all__ = ["Encoder", "Lite0Extractor", "SmallBackbone", "TemporalTransformer"]
