"""One pass over the similarity that finds what a kernel must know about its range."""

import numpy as np

from fastsw._cpu._compile import kernel


@kernel
def is_poisoned(similarity, lengths, poisoned):
    """Mark the pairs with NaN or +inf in a valid cell."""
    for b in range(lengths.shape[0]):
        for i in range(lengths[b, 0]):
            bad = False
            for j in range(lengths[b, 1]):
                bad |= not (similarity[b, i, j] < np.inf)
            if bad:
                poisoned[b] = True
                break
