"""Zero-inflated negative binomial counts that have given moments of log(1 + count).

Mean m and size r (variance m + m^2 / r); a share pi of the counts is zero besides. All of it works
on released numbers: nothing here is of records.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import nbinom

SIZES = np.geomspace(0.1, 100, 13)
INFLATIONS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
N_MEANS = 81
EXACT = 64  # counts below are summed one by one
TAIL = (np.arange(32) + 0.5) / 32  # the rest by so many quantiles
TABLE = 256  # counts of a table; beyond, scipy's quantiles


@dataclass(frozen=True)
class Counts:
    """Distributions of the counts of each class and gene.

    Parameters
    ----------
    means
        m of the inflated part, (n_classes, n_genes).
    sizes, inflations
        r and pi, each (n_genes,).
    high
        Counts are cut there.
    """

    means: np.ndarray
    sizes: np.ndarray
    inflations: np.ndarray
    high: float

    def cumulative(self, c: int) -> np.ndarray:
        """P(count <= k) of class ``c`` for k = 0, 1, ...: (n_genes, min(high + 1, TABLE))."""
        k = np.arange(min(int(self.high) + 1, TABLE))
        m, r, pi = self.means[c][:, None], self.sizes[:, None], self.inflations[:, None]
        return pi + (1 - pi) * nbinom.cdf(k, r, r / (r + m))

    def quantiles(self, c: int, u: np.ndarray) -> np.ndarray:
        """Counts of class ``c`` at levels ``u`` of (0, 1), (n, n_genes): float64, whole."""
        table = self.cumulative(c)
        out = np.empty(u.shape)
        for g in range(u.shape[1]):
            out[:, g] = np.searchsorted(table[g], u[:, g])
        # Beyond the table.
        rows, genes = np.nonzero(out == table.shape[1])
        if len(rows):
            r, pi = self.sizes[genes], self.inflations[genes]
            level = np.clip((u[rows, genes] - pi) / (1 - pi), 0, 1 - 1e-12)
            out[rows, genes] = nbinom.ppf(level, r, r / (r + self.means[c, genes]))
        return np.minimum(out, np.floor(self.high))


@lru_cache(maxsize=4)
def _moments(high: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means m; and E log(1 + x), E log(1 + x)^2 and P(0) of each size and mean."""
    m = np.geomspace(1e-4, max(high, 1.0), N_MEANS)
    r = SIZES[:, None]
    p = r / (r + m)
    k = np.arange(EXACT)
    pmf = nbinom.pmf(k, r[..., None], p[..., None])
    left = np.maximum(1 - pmf.sum(axis=-1), 0)
    levels = (1 - left)[..., None] + left[..., None] * TAIL
    tail = nbinom.ppf(np.minimum(levels, 1 - 1e-13), r[..., None], p[..., None])
    far = np.log1p(np.clip(tail, EXACT, max(high, EXACT)))
    logs = np.log1p(np.minimum(k, high))
    first = (pmf * logs).sum(axis=-1) + left * far.mean(axis=-1)
    second = (pmf * logs**2).sum(axis=-1) + left * (far**2).mean(axis=-1)
    return m, first, second, pmf[..., 0]


def fitted(
    means: np.ndarray,
    variance: np.ndarray,
    variance_error: float,
    weights: np.ndarray,
    high: float,
    zeros: np.ndarray | None = None,
    zeros_error: float = 0.0,
) -> Counts:
    """The distributions that fit released moments best.

    Parameters
    ----------
    means
        E log(1 + x), (n_classes, n_genes).
    variance
        Of log(1 + x) within classes, (n_genes,); ``variance_error`` is that of its noise.
    weights
        Of classes, (n_classes,).
    high
        Public bound of a count.
    zeros
        Share of zeros, (n_genes,), or None: no zero inflation.
    """
    weights = weights / weights.sum()
    m, first, second, none = _moments(high)
    inflations = INFLATIONS if zeros is not None else INFLATIONS[:1]
    best = np.full(len(variance), np.inf)
    found = np.zeros_like(means)
    sizes, pis = np.ones(len(variance)), np.zeros(len(variance))
    log_m = np.log(m)
    # A size is a tenth of the mean variance better than another before it counts.
    blur = variance_error + (0.05 * variance.mean()) ** 2
    for i, size in enumerate(SIZES):
        for pi in inflations:
            goal = np.clip(means / (1 - pi), first[i][0], first[i][-1])
            at = np.interp(goal, first[i], log_m)
            within = (1 - pi) * np.interp(at, log_m, second[i]) - means**2
            loss = (weights @ within - variance) ** 2 / blur
            if zeros is not None:
                zero = pi + (1 - pi) * np.interp(at, log_m, none[i])
                loss = loss + (weights @ zero - zeros) ** 2 / (zeros_error + 0.02**2)
                loss = loss + pi  # no inflation unless it is seen
            better = loss < best
            best = np.where(better, loss, best)
            found[:, better] = np.exp(at)[:, better]
            sizes[better], pis[better] = size, pi
    return Counts(found, sizes, pis, high)
