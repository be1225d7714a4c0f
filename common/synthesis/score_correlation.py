"""Correlations of normal scores: one release of sums of products, made low-rank afterwards.

A record adds v_i v_j for each pair of genes i < j, v its scores clipped to an L2 ball and to whole
numbers of length at most S = 2^12. The sum over pairs of (v_i v_j)^2 is below |v|^4 / 2, so the L2
sensitivity is S^2 / sqrt(2) grid steps. A donor adds the mean over classes of the mean over their
cells, clipped to ``donor-clip`` times that. The ball's radius is the scores' length that the
released marginals expect: it costs nothing.
"""

import math
from dataclasses import dataclass

import numpy as np

from common.synthesis.contributions import BELOW_ONE, MOST_UNITS, Pairs, whole_in_ball
from common.synthesis.generator import Stage, State
from common.synthesis.low_rank import capped, loadings
from common.synthesis.schema import Schema

LENGTH = 2**12  # products of a million records are exact in float64
MOST_GENES = 4000


@dataclass(frozen=True)
class ScoreCorrelation:
    """The release; ``share`` is of mu^2, ``donor_clip`` public, ``rank`` the most factors kept."""

    schema: Schema
    share: float
    donor_clip: float
    rank: int

    @property
    def _radius(self) -> float:
        whole = LENGTH**2 / math.sqrt(2)
        return whole * self.donor_clip if self.schema.unit == "donor" else whole

    @property
    def stage(self) -> Stage:
        """Called ``copula``: the strict upper triangle, row by row."""
        g = self.schema.n_genes
        bound = float(LENGTH) ** 2 * MOST_UNITS
        return Stage("copula", g * (g - 1) // 2, self._radius, self.share, bound)

    def statistics(self, pairs: Pairs, scores: np.ndarray, state: State) -> np.ndarray:
        """Sums of products of ``scores`` (n_kept, n_genes): int64."""
        whole = _whole(scores, float(state["score_length"]))
        upper = np.triu_indices(self.schema.n_genes, 1)
        if self.schema.unit == "record":
            return (whole.T @ whole)[upper].astype(np.int64)
        total = np.zeros(len(upper[0]), dtype=np.int64)
        ends, n_pairs = pairs.starts + pairs.sizes, pairs.pairs_of_unit
        for u in range(pairs.n_units):
            mean = np.zeros(len(upper[0]))
            for p in np.flatnonzero(pairs.pair_unit == u):
                rows = whole[pairs.starts[p] : ends[p]]
                mean += (rows.T @ rows)[upper] / (pairs.sizes[p] * n_pairs[u])
            norm = math.sqrt((mean * mean).sum())
            mean *= min(1.0, self._radius / max(norm, 1e-300)) * BELOW_ONE
            total += np.trunc(mean).astype(np.int64)
        return total

    def factors(
        self, total: np.ndarray, noise_sd: float, slopes: np.ndarray, state: State
    ) -> np.ndarray:
        """Loadings of the scores' common factors, (n_genes, k): k may be 0."""
        g = self.schema.n_genes
        unit = (float(state["score_length"]) / LENGTH) ** 2 / float(state["n_units"])
        matrix = np.zeros((g, g))
        matrix[np.triu_indices(g, 1)] = total * unit
        matrix += matrix.T
        if not noise_sd:
            return loadings(matrix / np.outer(slopes, slopes), 0.0)
        # The noise is the same in all scores: what is above it is found before they are scaled.
        found = loadings(matrix, noise_sd * unit)
        return capped(found[:, max(found.shape[1] - self.rank, 0) :] / slopes[:, None])


def _whole(scores: np.ndarray, length: float) -> np.ndarray:
    """Scores in whole steps of ``length / LENGTH``, each row's L2 at most LENGTH: float64."""
    norms = np.sqrt((scores * scores).sum(axis=1))
    return whole_in_ball(scores, norms, length, LENGTH).astype(np.float64)


def matched(scores: np.ndarray) -> np.ndarray:
    """Scores whose mean is 0 and variance 1 in each gene exactly, if there are 8 or more.

    What drawing would add to the released moments is taken off: it costs no privacy.
    """
    if len(scores) < 8:
        return scores
    return (scores - scores.mean(axis=0)) / np.maximum(scores.std(axis=0), 1e-12)
