"""Losses on the frame embeddings of two views of a clip, one file each."""

from lac.losses._loss import Loss
from lac.losses.gta import GtaLoss
from lac.losses.lac import LacLoss
from lac.losses.lav import LavLoss
from lac.losses.official import official_lac_loss
from lac.losses.scl import SclLoss
from lac.losses.tcc import TccLoss
from lac.losses.tcn import TcnLoss

__all__ = [
    "GtaLoss",
    "LacLoss",
    "LavLoss",
    "Loss",
    "SclLoss",
    "TccLoss",
    "TcnLoss",
    "official_lac_loss",
]
