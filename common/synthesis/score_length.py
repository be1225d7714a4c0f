"""How long a record's vector of normal scores is, as released marginals expect it."""

import math

import numpy as np
from scipy.special import ndtri

from common.synthesis.normal_scores import Marginals

LEVELS = (np.arange(64) + 0.5) / 64


def score_length(marginals: Marginals, n_classes: int, n_genes: int) -> float:
    """Root mean square of the L2 norm, of the class where it is largest; at least 1."""
    z, squares = np.repeat(ndtri(LEVELS)[:, None], n_genes, axis=1), [1.0]
    for c in range(n_classes):
        scores = marginals.scores(marginals.values(z, c), c)
        squares.append(float((scores**2).mean(axis=0).sum()))
    return math.sqrt(max(squares))
