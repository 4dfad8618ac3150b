"""Train the encoder that is shipped as `small`: ``python docs/train_shipped.py DATA RUN``.

DATA holds `grid/` (clips/ and labels.json with a split) and `unlabelled_videos/`, both CC BY 4.0.
The training clips of GRID, all sign videos and clips drawn by lac are trained on together; GRID's
validation clips and further drawn ones are only measured on. RUN is the run directory; trained
already, it is only written out again. The weights go to lac/encoder/weights/small.safetensors in
half precision, with the encoder's settings and the way they came about.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

import lac
from lac._run_directory import RunDirectory
from lac.cli import train
from lac.data import Rendered, render
from lac.data.video.files import SUFFIXES

DRAWN = Rendered(train=64, val=8, size=64, seed=100)
SEED = 0
TRAINING = [
    *("--data.source=folder", "--data.batch_size=8", "--data.frames=32"),
    *("--data.augmentation.scale=[0.4,1.0]", "--data.augmentation.flip=0.5"),
    *("--data.augmentation.shuffle=0.3", "--trainer.max_epochs=30"),
    "--model.loss=lac",
    f"--seed_everything={SEED}",
]
WEIGHTS = Path(lac.__file__).parent / "encoder" / "weights" / "small.safetensors"


def gather(data: Path, root: Path) -> None:
    """Link all clips into one folder, with the split of each set."""
    if (root / "labels.json").exists():
        return
    drawn = root.with_name(root.name + "-drawn")
    render(drawn, DRAWN)
    (root / "clips").mkdir(parents=True, exist_ok=True)
    split: dict[str, list[str]] = {"train": [], "val": []}
    for folder in drawn, data / "grid":
        for part, names in json.loads((folder / "labels.json").read_text())["split"].items():
            for name in names:
                (file,) = (folder / "clips").glob(f"{name}.*")
                link = root / "clips" / f"{folder.name}-{file.name}"
                link.symlink_to(file.resolve())
                split[part].append(link.stem)
    for file in sorted((data / "unlabelled_videos").iterdir()):
        if file.suffix in SUFFIXES:
            link = root / "clips" / f"sign-{file.name}"
            link.symlink_to(file.resolve())
            split["train"].append(link.stem)
    (root / "labels.json").write_text(json.dumps({"split": split}))


def export(run: RunDirectory) -> None:
    """Write the encoder's weights with what is needed to use them."""
    settings = run.read_settings()
    state = run.read_checkpoint()["state_dict"]
    weights = {
        name.removeprefix("encoder."): value.half() if value.is_floating_point() else value
        for name, value in state.items()
        if name.startswith("encoder.")
    }
    about = {
        "encoder": json.dumps(settings["model"]["encoder"]["init_args"]),
        "image_size": str(settings["data"]["image_size"]),
        "provenance": f"docs/train_shipped.py, seed {SEED}, torch {torch.__version__}; see"
        " ATTRIBUTION.txt",
    }
    WEIGHTS.parent.mkdir(exist_ok=True)
    save_file({name: value.contiguous() for name, value in weights.items()}, WEIGHTS, about)


def main() -> None:
    """Gather, train, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    clips = options.run.with_name(options.run.name + "-clips")
    gather(options.data, clips)
    train.main(["--run", str(options.run), f"--data.root={clips}", *TRAINING])
    export(RunDirectory(options.run))


if __name__ == "__main__":
    main()
