"""
Align two recordings
====================

Two people hum the same melody. One hums slowly; the other starts in the middle of the first phrase,
hurries, and stops early. Which moment of one recording is which moment of the other?
"""

import matplotlib.pyplot as plt
import numpy as np

import fastsw

# %%
# The recordings
# --------------
# What is compared here is the pitch, in semitones, 20 times a second. Any features will do: sound,
# sensors, skeletons, the embeddings of a network. An alignment only ever sees how well each moment
# of one fits each moment of the other.

melody = [(0, 8), (4, 4), (7, 12), (5, 4), (4, 4), (2, 8), (9, 12), (7, 8), (11, 4), (12, 16)]


def hum(notes, tempo, rng):
    """Pitch of a melody, (T,): notes with soft edges, some vibrato and noise."""
    steps = np.concatenate([np.full(round(length / tempo), pitch) for pitch, length in notes])
    smooth = np.convolve(np.pad(steps, 2, mode="edge"), np.full(5, 0.2), mode="valid")
    vibrato = 0.2 * np.sin(1.9 * np.arange(len(smooth)))
    return smooth + vibrato + 0.25 * rng.standard_normal(len(smooth))


rng = np.random.default_rng(7)
slow = hum(melody, 1.0, rng)
fast = hum(melody[2:9], 1.5, rng)
print(len(slow), "and", len(fast), "samples")

# %%
# Similarity
# ----------
# ``similarity[i, j]`` says what it is worth to pair sample i of the fast recording with sample j of
# the slow one. It has to be **above 0 where two samples fit and below 0 where they do not**: a
# local alignment goes on as long as that pays. Here it is 1 for equal pitches, 0 at a distance of
# 0.8 semitones, and near -1 for pitches far apart.

similarity = 2.0 * np.exp(-((fast[:, None] - slow) ** 2)) - 1.0
penalties = {"gap_open": 1.0, "gap_extend": 0.2}

# %%
# The best path
# -------------
# ``traceback`` finds the one best alignment: a chain of pairs, each further on in both recordings.
# What is skipped in between costs ``gap_open`` for the first sample and ``gap_extend`` for each
# further one. The line below is full where samples are paired, and dotted across gaps; most
# samples that are skipped are in the slow recording, which has more of them.

path = fastsw.traceback(similarity, **penalties)
print(repr(path))
ax = fastsw.plot.alignment(similarity, alignment=path)
ax.set(xlabel="sample of the slow one", ylabel="of the fast one")
plt.show()

# %%
# ``warp`` reads the path as a map of time, so either recording can be laid over the other.

moments = np.arange(len(slow))
there = path.warp(
    moments, axis="columns"
)  # positions in the fast one; NaN where nothing corresponds
heard = ~np.isnan(there)

figure, axes = plt.subplots(2, 1, figsize=(7, 4), sharex=True, sharey=True, layout="constrained")
axes[0].plot(slow, label="slow")
axes[0].plot(fast, label="fast")
axes[0].set(title="as recorded", ylabel="pitch, semitones")
axes[1].plot(slow, label="slow")
axes[1].plot(
    moments[heard], np.interp(there[heard], np.arange(len(fast)), fast), label="fast, warped"
)
axes[1].set(title="aligned", xlabel="sample", ylabel="pitch, semitones")
for ax in axes:
    ax.legend(loc="upper left", frameon=False)
plt.show()

# %%
# How sure is it?
# ---------------
# Within a held note no sample is a better partner than its neighbours, and the one best path hides
# that. ``posterior`` looks at **all** alignments, each weighted by exp(score / temperature), and
# gives the probability that two samples are paired. At a low temperature the best path takes
# nearly all; at a high one many share.

figure, axes = plt.subplots(2, 1, figsize=(7, 5.4), layout="compressed")
for ax, temperature in zip(axes, (0.1, 0.5), strict=True):
    posterior = fastsw.posterior(similarity, temperature=temperature, **penalties)
    nats = fastsw.entropy(similarity, temperature=temperature, **penalties)
    fastsw.plot.alignment(similarity, posterior, ax=ax)
    ax.set(title=f"temperature {temperature}", xlabel="", ylabel="of the fast one")
    print(f"temperature {temperature}: entropy {nats:.1f} nats")
axes[-1].set_xlabel("sample of the slow one")
plt.show()

# %%
# ``mea`` turns a posterior into the path with the most pairs that are expected to be right, and
# ``sample`` draws whole alignments: their spread is an error bar on the time of an event, here of
# the moment in the fast recording that matches sample 50 of the slow one.

surest = fastsw.mea(posterior, threshold=0.1)
print(repr(surest))
drawn = fastsw.sample(similarity, size=200, seed=0, temperature=0.5, **penalties)
moment = np.array([alignment.warp(50.0, axis="columns") for alignment in drawn])
print(f"sample 50 is at {np.nanmean(moment):.1f}, give or take {np.nanstd(moment):.1f}")
