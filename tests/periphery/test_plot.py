"""`fastsw.plot.alignment`: what is drawn, and what is refused."""

import sys

import numpy as np
import pytest

import fastsw

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def pair():
    similarity = np.random.default_rng(0).uniform(-3.0, -2.0, (6, 9))
    similarity[[0, 1, 4, 5], [1, 2, 7, 8]] = 5.0
    options = {"gap_open": 0.5, "gap_extend": 0.1}
    return (
        similarity,
        fastsw.posterior(similarity, **options),
        fastsw.traceback(similarity, **options),
    )


def bars(ax):
    return [child.get_ylabel() for child in ax.child_axes]


def test_everything_given_is_drawn(pair):
    similarity, posterior, path = pair
    ax = fastsw.plot.alignment(similarity, posterior, path)
    below, above = ax.get_images()
    np.testing.assert_array_equal(below.get_array(), similarity)
    np.testing.assert_array_equal(above.get_array(), posterior)
    assert above.get_clim() == (0, 1)
    assert bars(ax) == ["similarity", "posterior"]
    drawn = np.concatenate([line.get_xydata() for line in ax.lines if line.get_linestyle() == "-"])
    np.testing.assert_array_equal(drawn[:, ::-1], path.pairs)
    assert [line.get_linestyle() for line in ax.lines].count(":") == 1
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("row", "column")
    bottom, top = ax.get_ylim()
    assert bottom > top
    ax.figure.canvas.draw()


def test_similarity_alone_goes_on_the_given_axes(pair):
    _, axes = plt.subplots(1, 2)
    assert fastsw.plot.alignment(pair[0], ax=axes[1]) is axes[1]
    assert bars(axes[1]) == ["similarity"]
    assert not axes[0].get_images()


def test_forbidden_pairs_are_blank_and_do_not_stretch_the_colours():
    similarity = np.array([[-np.inf, 1.0], [2.0, np.nan]])
    (image,) = fastsw.plot.alignment(similarity).get_images()
    np.testing.assert_array_equal(image.get_array().mask, ~np.isfinite(similarity))
    assert image.get_clim() == (1.0, 2.0)


def test_degenerate_matrices_and_paths_are_drawn():
    forbidden = np.full((3, 1), -np.inf)
    empty = fastsw.Alignment(-np.inf, np.empty((0, 2), np.int64))
    ax = fastsw.plot.alignment(forbidden, np.zeros((3, 1)), empty)
    ax.figure.canvas.draw()
    assert not ax.lines


def test_tensors_are_drawn(pair):
    torch = pytest.importorskip("torch")
    similarity = torch.tensor(pair[0], requires_grad=True)
    ax = fastsw.plot.alignment(similarity, torch.tensor(pair[1]).bfloat16())
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), pair[0])


@pytest.mark.parametrize("shape", [(65, 65), (60, 66), (30, 90), (90, 31), (2, 300), (300, 1)])
def test_nothing_is_cut_off_when_a_picture_is_saved(shape, tmp_path):
    ax = fastsw.plot.alignment(np.zeros(shape), np.zeros(shape))
    ax.set_ylabel("time in a.mp4")
    ax.figure.savefig(tmp_path / "a.png", dpi=40)
    drawn = ax.figure.get_tightbbox()
    width, height = ax.figure.get_size_inches()
    assert 0 <= drawn.x0 < drawn.x1 <= width and 0 <= drawn.y0 < drawn.y1 <= height
    assert drawn.width > 0.75 * width and drawn.height > 0.75 * height  # and little is empty


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        (([[1.0]],), TypeError, "`similarity`"),
        ((np.zeros((2, 3, 4)),), ValueError, "`similarity`"),
        ((np.zeros((0, 4)),), ValueError, "`similarity`"),
        ((np.zeros((3, 4)), np.zeros((4, 3))), ValueError, "`posterior`"),
        ((np.zeros((3, 4)), None, [(0, 0)]), TypeError, "`alignment`"),
        (
            (np.zeros((3, 4)), None, fastsw.Alignment(1.0, np.array([[3, 0]]))),
            ValueError,
            "`alignment`",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(arguments, error, name):
    with pytest.raises(error, match=name):
        fastsw.plot.alignment(*arguments)
    assert not plt.get_fignums()


def test_an_absent_matplotlib_is_named(monkeypatch, pair):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"fastsw\[plot\]"):
        fastsw.plot.alignment(pair[0])
