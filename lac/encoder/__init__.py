"""Backbones and the temporal transformer: frames of a clip to one embedding per frame."""

from lac.encoder._encoder import Encoder
from lac.encoder.lite0 import Lite0Extractor
from lac.encoder.small import SmallBackbone
from lac.encoder.transformer import TemporalTransformer

__all__ = ["Encoder", "Lite0Extractor", "SmallBackbone", "TemporalTransformer"]
