"""How far the distribution of each gene is from the real one: Wasserstein-1 and KS."""

from collections.abc import Callable

import numpy as np

# Genes at once: keeps memory at a few copies of so many columns.
_BLOCK = 128


def wasserstein(real: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The 1-Wasserstein distance of every gene: the area between the distribution functions.

    Parameters
    ----------
    real, other
        (n, n_genes) and (m, n_genes).

    Returns
    -------
    (n_genes,) in the values' unit.

    References
    ----------
    Ramdas, Garcia Trillos, Cuturi 2017, doi:10.3390/e19020047.
    """
    return _by_gene(real, other, lambda gap, steps: (np.abs(gap[:-1]) * steps).sum(axis=0))


def kolmogorov_smirnov(real: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest gap between the distribution functions of every gene: (n_genes,), 0 to 1."""

    def largest(gap: np.ndarray, steps: np.ndarray) -> np.ndarray:
        # Among equal values the functions have not both jumped yet.
        gap[:-1][steps == 0] = 0
        return np.abs(gap).max(axis=0)

    return _by_gene(real, other, largest)


def _by_gene(
    real: np.ndarray, other: np.ndarray, figure: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """A figure of the gap (n + m, block) at all values in order and the steps between them."""
    n_genes, found = real.shape[1], []
    for first in range(0, n_genes, _BLOCK):
        columns = slice(first, first + _BLOCK)
        both = np.concatenate([real[:, columns], other[:, columns]])
        order = np.argsort(both, axis=0, kind="stable")
        jumps = np.where(order < len(real), 1 / len(real), -1 / len(other))
        ordered = np.take_along_axis(both, order, axis=0)
        found.append(figure(np.cumsum(jumps, axis=0), np.diff(ordered, axis=0)))
    return np.concatenate(found) if found else np.empty(0)
