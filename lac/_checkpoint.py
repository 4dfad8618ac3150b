"""Writing checkpoints so that a kill at any moment leaves a whole one."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lac._atomic import written_whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place and move it there once it is on the disk.

    Lightning's own goes through the system's temporary folder. Where the run is on another file
    system, the move from there is a copy over the last checkpoint, and a kill in it leaves none.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint."""
        with written_whole(Path(path)) as unfinished:
            torch.save(checkpoint, unfinished)
