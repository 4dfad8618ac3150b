"""Folders in every layout, written as the data sets are published."""

import json
import pickle

import av
import numpy as np
import torch
from scipy.io import savemat

from lac.data import write_video
from lac.data.importers._actions import ACTIONS


def noise(length, *, side=16):
    return np.random.default_rng(length).integers(0, 256, (length, 3, side, side), np.uint8)


def entry(root, number, name, labels, **changes):
    """Write a video, and return its record as CARL's converter makes it."""
    (root / "videos").mkdir(parents=True, exist_ok=True)
    write_video(root / "videos" / f"{name}.mp4", noise(len(labels)), fps=25)
    return {
        "id": number,
        "video_file": f"videos/{name}.mp4",
        "frame_label": torch.tensor(labels),
        "seq_len": len(labels),
        "name": name,
    } | changes


def dump(root, protocol=4, **splits):
    root.mkdir(exist_ok=True)
    for split, content in splits.items():
        with (root / f"{split}.pkl").open("wb") as stream:
            pickle.dump(content, stream, protocol=protocol)
    return root


def penn_action(root, *, train=("squat", "bowl", "squat"), val=("bowl",), labels=None):
    """Write clips of some actions of Penn Action in CARL's layout; `labels(number)` of each."""

    def part(prefix, actions):
        entries = [
            entry(root, i, f"{prefix}{i}_{action}", labels(i) if labels else [0, 1, 1])
            | {"action_label": ACTIONS.index(action)}
            for i, action in enumerate(actions)
        ]
        places = [[i for i, a in enumerate(actions) if a == action] for action in ACTIONS]
        return entries, places

    return dump(root, train=part("000", train), val=part("001", val))


def penn_action_raw(root):
    """Write two clips as the authors of Penn Action do."""
    (root / "labels").mkdir(parents=True)
    for name, action, train, count in (("0001", "squat", 1, 3), ("0002", "bowl", -1, 4)):
        folder = root / "frames" / name
        folder.mkdir(parents=True)
        for number, image in enumerate(noise(count, side=32), 1):
            with av.open(folder / f"{number:06d}.jpg", "w", format="image2") as container:
                stream = container.add_stream("mjpeg", options={"update": "1"})
                stream.height, stream.width, stream.pix_fmt = 32, 32, "yuvj420p"
                picture = np.ascontiguousarray(image.transpose(1, 2, 0))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                container.mux(stream.encode())
        savemat(
            root / "labels" / f"{name}.mat",
            {"action": action, "train": train, "nframes": count, "pose": "left"},
        )
    return root


def features_folder(root, arrays, labels=None):
    (root / "features").mkdir(parents=True)
    for name, array in arrays.items():
        np.save(root / "features" / f"{name}.npy", array)
    if labels is not None:
        (root / "labels.json").write_text(json.dumps(labels))
    return root
