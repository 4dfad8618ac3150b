"""The head for sequences that come as features: no backbone, and no maps."""

from torch import nn


def given_features_head(channels: int, width: int, *, dropout: float) -> nn.Module:
    """Return the layers from features (F, channels) of any scale to (F, width).

    The batch norm is there because features of skeletons, sound or other networks come in
    units of their own.
    """
    return nn.Sequential(nn.BatchNorm1d(channels), nn.Linear(channels, width), nn.Dropout(dropout))
