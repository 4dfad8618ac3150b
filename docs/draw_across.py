"""Draw what learning across clips does: ``python docs/draw_across.py ALONE ACROSS``.

ALONE and ACROSS are runs of `lac.train` on rendered clips, by the contrastive term alone and by
`AcrossLoss`. Two validation clips of different figures, and the posterior of their alignment before
training and by both runs, beside the true correspondence: docs/figures/across.png.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from lac._run_directory import RunDirectory
from lac._settings.run_cli import RunCLI
from lac.data.video.reading import read_video
from lac.evaluation._crops import Crop
from lac.evaluation._partners import posteriors, true_partners
from lac.evaluation._representations import representations
from lac.evaluation.metrics import squared_distances

FIGURE = Path(__file__).parent / "figures" / "across.png"
CLIPS = 1, 6  # validation clips
SHOWN = 8  # frames of each


def main() -> None:
    """Embed, align, draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs=2, type=Path, metavar="RUN")
    runs = [RunDirectory(path) for path in parser.parse_args().runs]
    torch.manual_seed(0)
    cli = RunCLI.of_run(runs[1])
    cli.datamodule.setup("test")
    clips = [cli.datamodule.collection.select("val")[k] for k in CLIPS]
    crops = [Crop(clip, 0, len(clip.phase), len(clip.phase), True) for clip in clips]
    frames = [read_video(clip.path).frames for clip in clips]
    encoder = cli.model.encoder.eval()
    learned = representations(cli.datamodule, encoder)["learned"]
    panels = {"before training": [learned(crop) for crop in crops]}
    for run, name in zip(runs, ("contrast within clips", "and across clips"), strict=True):
        cli.model.load_state_dict(run.read_checkpoint("last")["state_dict"], strict=False)
        panels[name] = [learned(crop) for crop in crops]
    truth = true_partners(*crops)
    figure = plt.figure(figsize=(11, 5.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(0.62, 1.0))
    for row, (own, name) in enumerate(zip(frames, "AB", strict=True)):
        for k, place in enumerate(np.linspace(0, len(own) - 1, SHOWN).round().astype(int)):
            ax = above.add_subplot(2, SHOWN, row * SHOWN + k + 1)
            ax.imshow(own[place].transpose(1, 2, 0))
            ax.set_title(f"{name} {place}", fontsize=7, pad=2)
            ax.set_axis_off()
    for ax, (title, pair) in zip(below.subplots(1, 3), panels.items(), strict=True):
        (posterior,) = posteriors([squared_distances(*pair).clip(min=0)])
        ax.imshow(posterior, cmap="Greys", vmin=0, vmax=0.6, aspect="auto")
        for k in range(truth.low.shape[1]):
            middle = (truth.low[:, k] + truth.high[:, k]) / 2
            ax.plot(middle, np.arange(len(middle)), "C1", lw=1, alpha=0.8)
        ax.set(title=title, xlabel="frame of B", ylabel="frame of A")
    figure.savefig(FIGURE, dpi=110)


if __name__ == "__main__":
    main()
