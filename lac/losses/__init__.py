"""Losses on the frame embeddings of two views of a clip, one file each."""

from lac.losses._loss import Loss
from lac.losses.lac import LacLoss
from lac.losses.official import official_lac_loss

__all__ = ["LacLoss", "Loss", "official_lac_loss"]
