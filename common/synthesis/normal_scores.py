"""Values as normal scores of released marginals, and back.

A value x of a class and gene becomes the normal quantile of its place in the released marginal,
for counts the middle of its step: Phi^-1((F(x - 1) + F(x)) / 2). Only what was released is used, so
a record's scores depend on that record alone.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import ndtr, ndtri

from common.synthesis.negative_binomial import TABLE, Counts

CLIP = 3.0  # of a score
HERMITE = (np.arange(200) + 0.5) / 200


class Marginals(Protocol):
    """Both kinds."""

    def scores(self, values: np.ndarray, c: int) -> np.ndarray:
        """Scores of class ``c``'s records, (n, n_genes), at most CLIP in size."""

    def values(self, scores: np.ndarray, c: int) -> np.ndarray:
        """The values that Gaussian ``scores`` stand for, (n, n_genes)."""

    def slopes(self, c: int) -> np.ndarray:
        """E[z s(z)], (n_genes,): the share of a Gaussian z that its value's score keeps."""


@dataclass(frozen=True)
class GaussianMarginals:
    """Means (n_classes, n_genes), standard deviations (n_genes,) and public bounds."""

    means: np.ndarray
    sds: np.ndarray
    low: float
    high: float

    def scores(self, values: np.ndarray, c: int) -> np.ndarray:
        """See :class:`Marginals`."""
        return np.clip((values - self.means[c]) / self.sds, -CLIP, CLIP)

    def values(self, scores: np.ndarray, c: int) -> np.ndarray:
        """See :class:`Marginals`."""
        return np.clip(self.means[c] + self.sds * scores, self.low, self.high)

    def slopes(self, c: int) -> np.ndarray:
        """See :class:`Marginals`."""
        return np.ones(len(self.sds))


@dataclass(frozen=True)
class CountMarginals:
    """Negative binomial, zero-inflated or not."""

    counts: Counts

    def _table(self, c: int) -> np.ndarray:
        """Score of each count of class ``c``, (n_genes, k)."""
        upper = self.counts.cumulative(c)
        lower = np.concatenate([np.zeros((len(upper), 1)), upper[:, :-1]], axis=1)
        return np.clip(ndtri(np.clip((lower + upper) / 2, 1e-9, 1 - 1e-9)), -CLIP, CLIP)

    def scores(self, values: np.ndarray, c: int) -> np.ndarray:
        """See :class:`Marginals`."""
        table = self._table(c)
        k = np.minimum(values, min(table.shape[1], TABLE) - 1).astype(np.int64)
        return table[np.arange(len(table)), k]

    def values(self, scores: np.ndarray, c: int) -> np.ndarray:
        """See :class:`Marginals`."""
        return self.counts.quantiles(c, np.clip(ndtr(scores), 1e-12, 1 - 1e-12))

    def slopes(self, c: int) -> np.ndarray:
        """See :class:`Marginals`."""
        z = ndtri(HERMITE)
        drawn = self.values(np.repeat(z[:, None], len(self.counts.sizes), axis=1), c)
        return np.clip((z[:, None] * self.scores(drawn, c)).mean(axis=0), 1e-3, 1.0)
