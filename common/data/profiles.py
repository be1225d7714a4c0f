"""Cell-type profiles: negative binomial means and dispersions fitted to labelled counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import InputError

# A parent adopts this many cells of the whole, so that no gene is impossible in it.
_ADOPTED_CELLS = 2.0
_STANDARD_ERRORS = 2.0
_DISPERSION_RANGE = (0.01, 5.0)


@dataclass(frozen=True)
class Profiles:
    """Negative binomial parameters: ``var = mean + dispersion * mean ** 2`` within a type.

    Parameters
    ----------
    genes, cell_types
        Names.
    means
        ``(n_types, n_genes)`` expected counts of a cell of median library size.
    dispersions
        ``(n_genes,)``, shared by the types.
    proportions
        ``(n_types,)``, of the cells that were fitted.
    log_library_sd
        Standard deviation of a cell's log library size.
    median_counts
        Median over the cells of their counts over ``genes``.
    """

    genes: tuple[str, ...]
    cell_types: tuple[str, ...]
    means: np.ndarray
    dispersions: np.ndarray
    proportions: np.ndarray
    log_library_sd: float
    median_counts: float


def fit_profiles(
    counts: np.ndarray,
    genes: Sequence[str],
    cell_types: np.ndarray,
    library_size: np.ndarray,
    lineages: Mapping[str, str] | None = None,
) -> Profiles:
    """Fit by the method of moments.

    With ``f`` a cell's library size over the median, a type's raw mean is ``sum(counts) / sum(f)``
    over its cells, and a gene's dispersion ``sum((counts - mu)^2 - mu) / sum(mu^2)`` over all
    cells, ``mu = f * raw mean``, kept in 0.01 to 5. The raw mean of few cells carries sampling
    noise that would tell types apart on its own, so it is drawn towards its parent's (the
    lineage's, or all cells'): ``mean = parent + gap * max(0, 1 - (2 * se / gap)^2)`` with
    ``gap = raw - parent`` and ``se`` the standard error of ``raw``.

    Parameters
    ----------
    counts
        ``(n_cells, n_genes)`` whole counts.
    cell_types, library_size
        ``(n_cells,)``; every type needs two cells or more.
    lineages
        The lineage of a type; the parent of a type that is not in it is all cells.

    Raises
    ------
    InputError
        A type has one cell only.

    References
    ----------
    Breiman 1995, doi:10.1080/00401706.1995.10484371 (the non-negative garrote, per gene).
    """
    names, codes, sizes = np.unique(cell_types, return_inverse=True, return_counts=True)
    if sizes.min() < 2:
        raise InputError(
            f"type {str(names[sizes.argmin()])!r} has one cell: merge it with another."
        )
    factor = library_size / np.median(library_size)
    member = (codes == np.arange(len(names))[:, None]).astype(np.float64)
    totals, exposure = member @ counts, (member @ factor)[:, None]
    raw = totals / exposure

    mu = factor[:, None] * raw[codes]
    unbiased = (sizes / (sizes - 1))[codes][:, None]
    excess = ((counts - mu) ** 2 * unbiased - mu).sum(axis=0)
    squares = (mu**2).sum(axis=0)
    dispersions = np.divide(excess, squares, out=np.zeros_like(excess), where=squares > 0)
    dispersions = dispersions.clip(*_DISPERSION_RANGE)

    related = _related([(lineages or {}).get(str(name)) for name in names])
    whole = totals.sum(axis=0) / exposure.sum()
    parent = (related @ totals + _ADOPTED_CELLS * whole) / (related @ exposure + _ADOPTED_CELLS)
    variance = parent / exposure + dispersions * parent**2 * (member @ factor**2)[:, None] / (
        exposure**2
    )
    gap = raw - parent
    noise = np.divide(variance, gap**2, out=np.full_like(gap, np.inf), where=gap != 0)
    return Profiles(
        genes=tuple(genes),
        cell_types=tuple(str(name) for name in names),
        means=parent + gap * (1 - _STANDARD_ERRORS**2 * noise).clip(0),
        dispersions=dispersions,
        proportions=sizes / sizes.sum(),
        log_library_sd=float(np.log(library_size).std()),
        median_counts=float(np.median(counts.sum(axis=1))),
    )


def _related(lineages: list[str | None]) -> np.ndarray:
    """``(n_types, n_types)``, 1 where the second type belongs to the first one's parent."""
    return np.array([[float(own in (None, other)) for other in lineages] for own in lineages])
