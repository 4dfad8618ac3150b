"""
Learn gap penalties
===================

What should a gap cost? Where pairs with a known alignment are at hand, the penalties can be learned
from them by gradient descent, as any other parameter of a network.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import fastsw

# %%
# Pairs whose alignment is known
# ------------------------------
# The second sequence of a pair is a noisy copy of the first, from which runs of elements were
# removed: rarely, but then many in a row. So a gap should be dear to open and cheap to extend, and
# the learned penalties should find that out.


def pair(rng, length=60, removed=0.04, stay=0.85):
    """Features (N, 4) and (M, 4), and the true pairs (K, 2)."""
    first = rng.standard_normal((length, 4))
    kept, gap = [], False
    for i in range(length):
        gap = rng.random() < (stay if gap else removed)
        if not gap:
            kept.append(i)
    second = first[kept] + 0.9 * rng.standard_normal((len(kept), 4))
    return first, second, np.stack([kept, np.arange(len(kept))], axis=1)


def batch(count, seed):
    """Padded similarities (B, N, M), lengths (B, 2), and a mask of the true pairs (B, N, M)."""
    rng = np.random.default_rng(seed)
    drawn = [pair(rng) for _ in range(count)]
    lengths = np.array([(len(x), len(y)) for x, y, _ in drawn])
    similarity = np.zeros((count, *lengths.max(axis=0)))
    truth = np.zeros(similarity.shape, dtype=bool)
    for b, (x, y, pairs) in enumerate(drawn):
        similarity[b, : len(x), : len(y)] = 2.0 - ((x[:, None] - y) ** 2).mean(axis=2)
        truth[b, *pairs.T] = True
    return torch.from_numpy(similarity), torch.from_numpy(lengths), torch.from_numpy(truth)


similarity, lengths, truth = batch(48, seed=0)
print(tuple(similarity.shape), int(truth.sum()), "true pairs")

# %%
# The module
# ----------
# ``SmithWaterman`` owns the penalties. Learned ones stay positive. The first values are given, and
# bad on purpose: opening is cheap, extending dear.

align = fastsw.nn.SmithWaterman(
    gap_open=0.3, gap_extend=1.0, mode="global", penalties="learned", dtype=torch.float64
)
print(align)

# %%
# The loss
# --------
# Make the true pairs probable: minus the mean log-probability that the posterior gives them. The
# posterior is differentiable, in the penalties too, so PyTorch does the rest.


def loss_of(similarity, lengths, truth):
    """Minus the mean log-probability of the true pairs."""
    probable = align.posterior(similarity, lengths=lengths)[truth]
    return -probable.clamp(min=1e-9).log().mean()


optimizer = torch.optim.Adam(align.parameters(), lr=0.1)
history = []
for _ in range(80):
    optimizer.zero_grad()
    loss = loss_of(similarity, lengths, truth)
    loss.backward()
    history.append((loss.item(), align.gap_open.item(), align.gap_extend.item()))
    optimizer.step()
print(align)

losses, opened, extended = np.array(history).T
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
axes[0].plot(losses)
axes[0].set(xlabel="step", ylabel="loss, nats a pair", ylim=(0, None))
axes[1].plot(opened, label="gap_open")
axes[1].plot(extended, label="gap_extend")
axes[1].set(xlabel="step", ylabel="penalty", ylim=(0, None))
axes[1].legend(frameon=False)
plt.show()

# %%
# On pairs it has not seen
# ------------------------
# Of the true pairs of 48 new ones, how many does the best path find with the first penalties, and
# how many with the learned ones?

similarity, lengths, truth = batch(48, seed=1)


def recall(**penalties):
    """Share of the true pairs that the best paths have."""
    paths = fastsw.traceback(similarity, lengths=lengths, mode="global", **penalties)
    hits = sum(truth[b, *path.pairs.T].sum() for b, path in enumerate(paths))
    return float(hits / truth.sum())


learned = {"gap_open": align.gap_open.item(), "gap_extend": align.gap_extend.item()}
print(f"first penalties: {recall(gap_open=0.3, gap_extend=1.0):.3f} of the true pairs")
print(f"learned ones:    {recall(**learned):.3f}")

# %%
# The same module takes penalties that differ by direction (a tuple of two), and learns its
# temperature with ``temperature_mode="learned"``. Penalties that a network predicts, one a row,
# column or cell, go to `fastsw.score` and `fastsw.posterior` directly.
