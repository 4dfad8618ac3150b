"""Losses on the frame embeddings of two views of a clip, one file each."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.losses._loss import Loss
    from lac.losses.across import AcrossLoss
    from lac.losses.gta import GtaLoss
    from lac.losses.lac import LacLoss
    from lac.losses.lav import LavLoss
    from lac.losses.official import official_lac_loss
    from lac.losses.scl import SclLoss
    from lac.losses.tcc import TccLoss
    from lac.losses.tcn import TcnLoss
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "_loss": ("Loss",),
            "across": ("AcrossLoss",),
            "gta": ("GtaLoss",),
            "lac": ("LacLoss",),
            "lav": ("LavLoss",),
            "official": ("official_lac_loss",),
            "scl": ("SclLoss",),
            "tcc": ("TccLoss",),
            "tcn": ("TcnLoss",),
        },
    )

__all__ = [
    "AcrossLoss",
    "GtaLoss",
    "LacLoss",
    "LavLoss",
    "Loss",
    "SclLoss",
    "TccLoss",
    "TcnLoss",
    "official_lac_loss",
]
