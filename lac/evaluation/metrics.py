"""Measures of frame embeddings of cropped clips; each takes any representation."""

import warnings
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.stats import kendalltau
from sklearn.base import ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lac.evaluation._crops import Classifier

REGULARISATION = (0.01, 0.1, 1.0)  # scikit-learn's C; the best on held-out training clips is used
HELD_OUT = 0.25  # share of the given training clips that chooses it


def phase_accuracy(
    train: Sequence[tuple[np.ndarray, np.ndarray, str]],
    test: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    fraction: float = 1.0,
    seed: int = 0,
    classifier: Classifier = "logistic",
) -> float:
    """Return the accuracy of a phase classifier on frames of other clips.

    Parameters
    ----------
    train : sequence of (features (T, D), phase (T,), clip name)
        Crops of training clips.
    test : sequence of (features (T, D), phase (T,))
        Crops that are scored.
    fraction : float
        Share of the training clips that is used, at least one clip, in (0, 1].
    seed : int
        Decides which.
    classifier : {"logistic", "logistic_plain", "svm"}
        `"logistic"`: logistic regression on standardised features, its regularisation chosen on
        a quarter of the given training clips. `"logistic_plain"`: on features as they are, with
        scikit-learn's default regularisation. `"svm"`: scikit-learn's default support vector
        machine, with an RBF kernel.

    Returns
    -------
    float
        In [0, 1].
    """
    names = sorted({name for _, _, name in train})
    rng = np.random.default_rng(seed)
    count = max(1, round(fraction * len(names)))
    chosen = [names[i] for i in rng.permutation(len(names))[:count]]
    held_out = set(chosen[: int(HELD_OUT * count)])

    def gather(wanted: set[str]) -> tuple[np.ndarray, np.ndarray]:
        crops = [(x, y) for x, y, name in train if name in wanted]
        return np.concatenate([x for x, _ in crops]), np.concatenate([y for _, y in crops])

    if classifier != "logistic":
        model = SVC() if classifier == "svm" else LogisticRegression(max_iter=10_000)
        return _score(_fit(model, *gather(set(chosen))), test)
    strength = REGULARISATION[-1]
    if held_out:
        fit_on, choose_on = gather(set(chosen) - held_out), gather(held_out)
        strength = max(REGULARISATION, key=lambda c: _fit_classifier(*fit_on, c).score(*choose_on))
    return _score(_fit_classifier(*gather(set(chosen)), strength), test)


def _score(model: ClassifierMixin, test: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the accuracy of a fitted classifier."""
    return float(model.score(*(np.concatenate(part) for part in zip(*test, strict=True))))


def _fit_classifier(x: np.ndarray, y: np.ndarray, strength: float) -> ClassifierMixin:
    """Fit logistic regression on standardised features."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
    return _fit(model, x, y)


def _fit(model: ClassifierMixin, x: np.ndarray, y: np.ndarray) -> ClassifierMixin:
    """Fit a classifier; with one class alone, a constant one."""
    if len(np.unique(y)) == 1:
        model = DummyClassifier(strategy="most_frequent")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)


def progression_r2(
    train: Sequence[tuple[np.ndarray, np.ndarray]], test: Sequence[tuple[np.ndarray, np.ndarray]]
) -> float:
    """Return R^2 of a linear prediction of phase progression, averaged over key events.

    Parameters
    ----------
    train, test : sequence of (features (T, D), progression (T, K))
        Progression: time of the frame minus time of key event k, as shares of the clip.

    Returns
    -------
    float
        At most 1; 0 is the mean's.
    """
    model = make_pipeline(StandardScaler(), LinearRegression())
    model.fit(*(np.concatenate(part) for part in zip(*train, strict=True)))
    x, y = (np.concatenate(part) for part in zip(*test, strict=True))
    return float(r2_score(y, model.predict(x)))


def kendall_tau(crops: Sequence[np.ndarray]) -> float:
    """Return Kendall's tau of nearest neighbours, averaged over ordered pairs of crops.

    For frames in order of one crop, the places of their nearest neighbours in another should be
    in order too.

    Parameters
    ----------
    crops : sequence of arrays (T, D)
        Two or more.

    Returns
    -------
    float
        In [-1, 1]. A constant answer counts as 0.
    """
    values = []
    for i, x in enumerate(crops):
        for j, y in enumerate(crops):
            if i != j:
                nearest = squared_distances(x, y).argmin(1)
                tau = kendalltau(np.arange(len(x)), nearest).statistic
                values.append(0.0 if np.isnan(tau) else tau)
    return float(np.mean(values))


def crop_order(matches: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return how well matches between crops of two clips agree on one order.

    Of every two frames of the first clip that lie in different crops of it, the frames of the
    second that they are matched to should be in the same order. Within one pair of crops a rule
    that goes by a frame's place alone is always in order; across crops that begin and end
    elsewhere it is not.

    Parameters
    ----------
    matches : sequence of (places (T,), places of the matches (T,))
        Of each pair of crops, two or more, counted in the whole clips.

    Returns
    -------
    float
        Concordant less discordant pairs of frames as a share of all, in [-1, 1]; 0 is chance.

    Examples
    --------
    >>> here = np.arange(4)
    >>> crop_order([(here, here + 10), (here + 2, here + 12)])
    1.0
    """
    signs = []
    for (t, u), (s, v) in combinations(matches, 2):
        first, second = np.sign(t[:, None] - s), np.sign(u[:, None] - v)
        signs.append((first * second)[first != 0])
    return float(np.concatenate(signs).mean())


def retrieval_precision(
    crops: Sequence[tuple[np.ndarray, np.ndarray]], *, neighbours: Sequence[int]
) -> dict[int, float]:
    """Return the share of the K nearest frames of other clips that are of the query's phase.

    Parameters
    ----------
    crops : sequence of (features (T, D), phase (T,))
        Two or more, each of another clip.
    neighbours : sequence of int
        K, each at most the frames of all crops but one.

    Returns
    -------
    dict of int to float
        Averaged over all frames as queries.
    """
    hits: dict[int, list[np.ndarray]] = {k: [] for k in neighbours}
    for i, (query, phase) in enumerate(crops):
        others = [crop for j, crop in enumerate(crops) if j != i]
        gallery = np.concatenate([x for x, _ in others])
        labels = np.concatenate([y for _, y in others])
        # A stable sort, where scikit-learn's search for neighbours leaves it open which of several
        # equally near frames it takes; by time alone many are equally near.
        order = np.argsort(squared_distances(query, gallery), axis=1, kind="stable")
        for k in neighbours:
            hits[k].append((labels[order[:, :k]] == phase[:, None]).mean(1))
    return {k: float(np.concatenate(values).mean()) for k, values in hits.items()}


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return squared Euclidean distances, (T, U) float64.

    Not scikit-learn's, which spends ten times as long checking matrices as small as these, nor
    SciPy's, which does not use BLAS.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    found: np.ndarray = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
    return found
