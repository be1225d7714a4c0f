"""The distance of real records to the closest synthetic one, and exact copies.

A cohort that came closer to its own records than to others' of the same population has copied.
"""

from typing import Any

import numpy as np

from common.synthesis.scores.space import at_most, standardised

SPACE = "Euclidean, genes standardised by the real cohort"


def closest(x: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Distance of each of ``x`` (n, n_genes) to the nearest of ``among``: (n,)."""
    from sklearn.neighbors import NearestNeighbors

    # In so many dimensions no tree is faster.
    found = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(among)
    return found.kneighbors(x)[0][:, 0]


def copies(synthetic: np.ndarray, real: np.ndarray) -> int:
    """How many synthetic records equal a real one in every gene, up to single precision."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(real)
    nearest = real[found.kneighbors(synthetic, return_distance=False)[:, 0]]
    return int(np.isclose(synthetic, nearest, rtol=1e-6, atol=1e-9).all(axis=1).sum())


def closest_records(
    train: np.ndarray, held_out: np.ndarray, synthetic: np.ndarray, *, seed: int = 0
) -> dict[str, Any]:
    """Whether the synthetic cohort is closer to its own records than to others.

    Parameters
    ----------
    train, held_out, synthetic
        (n, n_genes) each. Of ``train`` and ``held_out`` equally many are taken for the share.

    Returns
    -------
    ``train`` and ``held_out``: median distance to the closest synthetic record; ``ratio``: the
    first over the second, 1 where nothing was copied, 0 where all was; ``closer_to_train``: share
    of the synthetic records closer to a record of ``train`` than to any of as many held-out ones,
    0.5 where nothing was copied; ``copies`` of each kind; ``space``.

    References
    ----------
    Zhao et al. 2021 (CTAB-GAN, DCR), arXiv:2102.08369; Platzer, Reutterer 2021 (share of the
    closest), doi:10.3389/fdata.2021.679939.
    """
    a, b, s = (standardised(x, train) for x in (train, held_out, synthetic))
    to_train, to_held_out = float(np.median(closest(a, s))), float(np.median(closest(b, s)))
    n = min(len(a), len(b))
    gap = closest(s, at_most(a, n, seed)) - closest(s, at_most(b, n, seed))
    return {
        "train": to_train,
        "held_out": to_held_out,
        "ratio": to_train / to_held_out if to_held_out else None,
        "closer_to_train": float((gap < 0).mean() + (gap == 0).mean() / 2),
        "copies": copies(synthetic, train),
        "copies_of_held_out": copies(synthetic, held_out),
        "space": SPACE,
    }
