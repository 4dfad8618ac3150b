"""Passages and residues found by embeddings alone: ``python docs/measure_embeddings.py DATA``.

DATA holds GRID's sound (grid/logmel40_100hz.npz) and embeddings of antibody chains (protein_sabr).
Prints two tables as Markdown and draws docs/figures/embeddings.png.
"""

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import fastsw

FIGURE = Path(__file__).parent / "figures" / "embeddings.png"
CONTEXT = 3  # frames on either side that stand beside a frame
SHARED, OTHERS, NOISE, SENTENCE = 5, 16, 0.2, 149


class Recording(NamedTuple):
    """Sentences one after the other."""

    frames: np.ndarray  # [T, 40], 50 a second
    begins: dict[str, int]  # of the sentences that another recording has too


def record(
    sounds: dict[str, np.ndarray], others: list[str], shared: list[str], rng: np.random.Generator
) -> Recording:
    """Put sentences into random order, and noise over them."""
    order = [*others, *shared]
    rng.shuffle(order)
    begins = np.cumsum([0, *(len(sounds[name]) for name in order)])
    frames = np.concatenate([sounds[name] for name in order])
    frames = frames + NOISE * rng.standard_normal(frames.shape)
    places = dict(zip(order, begins.tolist(), strict=False))
    return Recording(frames.astype(np.float32), {name: places[name] for name in shared})


def recordings(file: Path, seed: int) -> tuple[Recording, Recording]:
    """Two of GRID's sound, with some sentences in common and the others different."""
    rng = np.random.default_rng(seed)
    with np.load(file, allow_pickle=False) as bands:
        sounds = {name: bands[name][::2].astype(np.float64) for name in bands.files}
    every = np.concatenate(list(sounds.values()))
    sounds = {name: (sound - every.mean(0)) / every.std(0) for name, sound in sounds.items()}
    names = list(rng.permutation(sorted(sounds)))
    shared, rest = names[:SHARED], names[SHARED:]
    first = record(sounds, rest[:OTHERS], list(shared), rng)
    return first, record(sounds, rest[OTHERS : 2 * OTHERS], list(shared), rng)


def similarity(first: Recording, second: Recording) -> np.ndarray:
    """Cosine of frames with those around them, above 0 from 0.8 on, (N, M)."""
    sides = []
    for recording in (first, second):
        near = range(-CONTEXT, CONTEXT + 1)
        wide = np.concatenate([np.roll(recording.frames, shift, 0) for shift in near], 1)
        sides.append(wide / np.linalg.norm(wide, axis=1, keepdims=True))
    cells: np.ndarray = 4 * (sides[0] @ sides[1].T - 0.8)
    return cells


def passages(cells: np.ndarray) -> list[fastsw.Alignment]:
    """Two more hits than there are sentences in common."""
    return fastsw.hits(cells, SHARED + 2, gap_open=2.0, gap_extend=0.5, margin=12)


def rightly_paired(
    hits: list[fastsw.Alignment], first: Recording, second: Recording
) -> tuple[float, float]:
    """Return which share of the frames of common sentences is paired to a frame, and of pairs."""
    true = {
        (begin + k, second.begins[name] + k)
        for name, begin in first.begins.items()
        for k in range(SENTENCE)
    }
    near = {(i, j + shift) for i, j in true for shift in (-1, 0, 1)}
    found = {(int(i), int(j)) for hit in hits for i, j in hit.pairs}
    right = found & near
    return len({i for i, _ in right}) / len(true), len(right) / len(found)


def chains(folder: Path) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Embeddings of residues and their IMGT numbers, by chain."""
    found = {}
    for file in sorted(folder.glob("*_embeddings.npz")):
        with np.load(file, allow_pickle=False) as chain:
            found[file.name.removesuffix("_embeddings.npz")] = (
                chain["embeddings"],
                chain["idxs"].tolist(),
            )
    return found


def residues(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, fastsw.Alignment]:
    """Posterior of two chains, and the pairs that are more probable than not to be right."""
    posterior = fastsw.align_embeddings(
        x,
        y,
        kind="cosine",
        scale=5.0,
        offset=-2.0,
        gap_open=2.0,
        gap_extend=0.2,
        outputs="posterior",
        threshold=1e-3,
    )
    dense = np.zeros((len(x), len(y)), np.float32)
    dense[posterior.rows, posterior.columns] = posterior.values
    path = fastsw.mea(dense, threshold=0.3)
    assert isinstance(path, fastsw.Alignment)
    return dense, path


def agreements(folder: Path) -> Iterator[tuple[str, str, int, float, float]]:
    """Yield two chains, their true pairs, and F1 of what is aligned and of nearest residues."""
    for (a, (x, numbers)), (b, (y, others)) in combinations(chains(folder).items(), 2):
        true = {(i, others.index(n)) for i, n in enumerate(numbers) if n in others}
        _, path = residues(x, y)
        unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y)]
        nearest = {(i, int(j)) for i, j in enumerate((unit[0] @ unit[1].T).argmax(1))}
        aligned = {(int(i), int(j)) for i, j in path.pairs}
        yield (
            a,
            b,
            len(true),
            *(2 * len(found & true) / (len(found) + len(true)) for found in (aligned, nearest)),
        )


def draw(
    cells: np.ndarray, hits: list[fastsw.Alignment], posterior: np.ndarray, names: tuple[str, str]
) -> None:
    """Draw the similarity of two recordings with its hits, and the posterior of two chains."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    n, m = cells.shape
    coarse = cells[: n - n % 8, : m - m % 8].reshape(n // 8, 8, m // 8, 8).max((1, 3))
    left.imshow(coarse, cmap="Greys", vmin=-2, vmax=1, extent=(0, m / 50, n / 50, 0))
    for number, hit in enumerate(hits):
        colour, label = ("C1", "best") if number < SHARED else ("C0", "next")
        label = label if number in (0, SHARED) else None
        left.plot(hit.pairs[:, 1] / 50, hit.pairs[:, 0] / 50, colour, lw=3, label=label)
    left.set(xlabel="second recording, s", ylabel="first recording, s")
    left.set_title("similarity of two recordings, and hits")
    left.legend()
    image = right.imshow(posterior, cmap="magma", aspect="auto")
    figure.colorbar(image, label="posterior")
    right.set(xlabel=f"residue of {names[1]}", ylabel=f"residue of {names[0]}")
    right.set_title("two antibody chains, aligned by embeddings")
    figure.savefig(FIGURE, dpi=110)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    data = parser.parse_args().data
    print("| seed | frames | found of the common | of what is found, right | scores | the next |")
    print("| --- | --- | --- | --- | --- | --- |")
    for seed in reversed(range(5)):  # the first is drawn
        first, second = recordings(data / "grid" / "logmel40_100hz.npz", seed)
        cells = similarity(first, second)
        hits = passages(cells)
        shares = rightly_paired(hits[:SHARED], first, second)
        scores = [round(hit.score) for hit in hits]
        print(
            f"| {seed} | {len(cells)} x {cells.shape[1]} | {shares[0]:.2f} | {shares[1]:.2f} | "
            f"{', '.join(map(str, scores[:SHARED]))} | {scores[SHARED]} |",
            flush=True,
        )
    print("\n| chains | true pairs | F1, aligned | F1, nearest residue |")
    print("| --- | --- | --- | --- |")
    for a, b, count, aligned, nearest in agreements(data / "protein_sabr"):
        print(f"| {a}, {b} | {count} | {aligned:.2f} | {nearest:.2f} |")
    found = chains(data / "protein_sabr")
    names = "12e8_imgt_H", "test_heavy_chain"
    posterior, _ = residues(*(found[name][0] for name in names))
    draw(cells, hits, posterior, names)


if __name__ == "__main__":
    main()
