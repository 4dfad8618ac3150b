"""Writing checkpoints so that a kill at any moment leaves a whole one."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lac._atomic import written_whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place and move it there once it is on the disk.

    Lightning's own writes among the system's temporary files, and where the run is on another file
    system it is copied from there over the last checkpoint: a kill in between leaves none.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint."""
        with written_whole(Path(path)) as unfinished:
            torch.save(checkpoint, unfinished)
