"""Losses on the frame embeddings of two views of a clip, one file each.

To add one, write a module with a subclass of `Loss` whose name ends in `Loss`, and name it in the
three lists below. Its keyword arguments with their types and documentation become its settings, and
``lac train --model.loss NAME`` (without `Loss`) trains it; `lac.losses.scl` is a short example.
Checks of arguments belong at the beginning of the constructor, where commands find them too.
"""

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
