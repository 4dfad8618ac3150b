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
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lac.evaluation._crops import Classifier

REGULARISATION = (0.01, 0.1, 1.0)  # scikit-learn's C; the best on held-out training clips is used
HELD_OUT = 0.25  # share of the given training clips that chooses it
PAIRS = 2000  # ordered pairs of clips that are compared, about; all of up to 45 clips
QUERIES = 200  # clips whose frames look for neighbours in all others
FRAMES = 20_000  # that a classifier is fitted to, at most


def phase_accuracy(
    train: Sequence[tuple[np.ndarray, np.ndarray, str]],
    test: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    fraction: float = 1.0,
    seed: int = 0,
    classifier: Classifier = "logistic",
) -> float:
    """Return the accuracy of a phase classifier on frames of other clips, in [0, 1].

    Parameters are those of `told_phases`.
    """
    told = told_phases(train, test, fraction=fraction, seed=seed, classifier=classifier)
    return float(np.concatenate(told).mean())


def told_phases(
    train: Sequence[tuple[np.ndarray, np.ndarray, str]],
    test: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    fraction: float = 1.0,
    seed: int = 0,
    classifier: Classifier = "logistic",
) -> list[np.ndarray]:
    """Say of each frame of other clips whether a classifier tells its phase.

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
    list of ndarrays of bool, shape (T,)
        One a crop.

    Notes
    -----
    Of more than `FRAMES` training frames so many are drawn, by `seed` too.
    """
    names = sorted({name for _, _, name in train})
    rng = np.random.default_rng(seed)
    count = max(1, round(fraction * len(names)))
    chosen = [names[i] for i in rng.permutation(len(names))[:count]]
    held_out = set(chosen[: int(HELD_OUT * count)])

    def gather(wanted: set[str]) -> tuple[np.ndarray, np.ndarray]:
        crops = [(x, y) for x, y, name in train if name in wanted]
        y = np.concatenate([y for _, y in crops])
        places = np.arange(len(y))
        if len(y) > FRAMES:
            places = np.sort(np.random.default_rng(seed).choice(places, FRAMES, replace=False))
        return np.concatenate([x for x, _ in crops])[places], y[places]

    if classifier != "logistic":
        model = SVC() if classifier == "svm" else LogisticRegression(max_iter=10_000)
        return _try(_fit(model, *gather(set(chosen))), test)
    strength = REGULARISATION[-1]
    if held_out:
        fit_on, choose_on = gather(set(chosen) - held_out), gather(held_out)
        strength = max(REGULARISATION, key=lambda c: _fit_classifier(*fit_on, c).score(*choose_on))
    return _try(_fit_classifier(*gather(set(chosen)), strength), test)


def _try(model: ClassifierMixin, test: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Say of which frames a fitted classifier tells the phase."""
    return [model.predict(x) == y for x, y in test]


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

    Parameters are those of `explained_progression`. At most 1; 0 is the mean's.
    """
    return float(np.concatenate(explained_progression(train, test)).mean())


def explained_progression(
    train: Sequence[tuple[np.ndarray, np.ndarray]], test: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[np.ndarray]:
    """Return the part of every frame in R^2 of a linear prediction of phase progression.

    Parameters
    ----------
    train, test : sequence of (features (T, D), progression (T, K))
        Progression: time of the frame minus time of key event k, as shares of the clip.

    Returns
    -------
    list of ndarrays of float64, shape (T,)
        One a crop of `test`. Their mean over frames is R^2, itself the mean over key events.
    """
    model = make_pipeline(StandardScaler(), LinearRegression())
    model.fit(*(np.concatenate(part) for part in zip(*train, strict=True)))
    errors = [(y - model.predict(x)) ** 2 for x, y in test]
    variance = np.concatenate([y for _, y in test]).var(0)
    # As scikit-learn has it: what does not vary is explained if it is met, else not.
    constant = np.where(np.concatenate(errors).any(0), 1.0, 0.0)
    return [
        1 - np.where(variance > 0, error / np.where(variance > 0, variance, 1), constant).mean(1)
        for error in errors
    ]


def drawn_pairs(clips: int, *, seed: int = 0) -> list[tuple[int, int]]:
    """Return ordered pairs of different clips, each clip first equally often.

    All there are if those are at most `PAIRS`, else nearly as many, drawn by a seed: what is
    measured of pairs would grow with the square of clips.

    Examples
    --------
    >>> drawn_pairs(3)
    [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    >>> len(drawn_pairs(1000))
    2000
    """
    others = clips - 1
    if clips * others > PAIRS:
        others = max(1, PAIRS // clips)
    rng = np.random.default_rng(seed)
    chosen = (
        np.arange(clips - 1)
        if others == clips - 1
        else np.sort(rng.choice(clips - 1, others, replace=False))
        for _ in range(clips)
    )
    return [(i, int(j + (j >= i))) for i, own in enumerate(chosen) for j in own]


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
    return float(np.mean([tau for own in neighbour_taus(crops) for tau in own]))


def neighbour_taus(crops: Sequence[np.ndarray], *, seed: int = 0) -> list[list[float]]:
    """Return what `kendall_tau` averages: for each crop, tau with other crops.

    Of many crops each goes with some others, which a seed decides; see `drawn_pairs`.
    """
    values: list[list[float]] = [[] for _ in crops]
    for i, j in drawn_pairs(len(crops), seed=seed):
        nearest = squared_distances(crops[i], crops[j]).argmin(1)
        tau = kendalltau(np.arange(len(nearest)), nearest).statistic
        values[i].append(0.0 if np.isnan(tau) else float(tau))
    return values


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
    hits = neighbour_hits(crops, neighbours=neighbours)
    return {k: float(np.concatenate(own).mean()) for k, own in hits.items()}


def neighbour_hits(
    crops: Sequence[tuple[np.ndarray, np.ndarray]], *, neighbours: Sequence[int], seed: int = 0
) -> dict[int, list[np.ndarray]]:
    """Return what `retrieval_precision` averages: by K and crop, the share for every frame (T,).

    Of more than `QUERIES` crops, so many query all others, which a seed decides; the rest has
    arrays of length 0.
    """
    queries = np.arange(len(crops))
    if len(crops) > QUERIES:
        queries = np.random.default_rng(seed).choice(queries, QUERIES, replace=False)
    gallery = np.concatenate([x for x, _ in crops]).astype(np.float64)
    labels = np.concatenate([y for _, y in crops])
    begins = np.cumsum([0, *(len(y) for _, y in crops)])
    hits = {k: [np.zeros(0)] * len(crops) for k in neighbours}
    for i in queries:
        own = slice(begins[i], begins[i + 1])
        distances = squared_distances(gallery[own], gallery)
        distances[:, own] = np.inf  # the clip itself
        nearest = labels[_smallest(distances, max(neighbours))]
        right = nearest == labels[own][:, None]
        for k in neighbours:
            hits[k][i] = right[:, :k].mean(1)
    return hits


def _smallest(values: np.ndarray, count: int) -> np.ndarray:
    """Return where the smallest values of every row are, in their order; of equals the first.

    scikit-learn's search for neighbours leaves it open which of several equally near frames it
    takes; by time alone many are equally near.
    """
    bound = np.partition(values, count - 1, axis=1)[:, count - 1 : count]
    found = np.empty((len(values), count), np.int64)
    for row, (own, limit) in enumerate(zip(values, bound, strict=True)):
        places = np.flatnonzero(own <= limit)
        found[row] = places[np.argsort(own[places], kind="stable")[:count]]
    return found


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return squared Euclidean distances, (T, U) float64.

    Not scikit-learn's, which spends ten times as long checking matrices as small as these, nor
    SciPy's, which does not use BLAS.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    found: np.ndarray = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
    return found
