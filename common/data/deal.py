"""One data set dealt to sites, for a simulation: every cell to exactly one of them.

Which of a site's own cells train, validate and test is another matter:
``common/data/stratified.py`` by label, ``common/data/held_out.py`` by batch.

References
----------
Hsu et al. 2019, arXiv:1909.06335; Li et al. 2022, arXiv:2102.02079, section IV.B (label skew).
"""

import numpy as np

from common.data.obs import labelled
from common.data.random_parts import random_parts
from common.errors import ConfigError, InputError

_DRAWS = 10_000


def deal_cells(
    labels: np.ndarray,
    n_sites: int,
    *,
    seed: int,
    alpha: float | None = None,
    least_cells: int = 1,
) -> np.ndarray:
    """The site of each cell, int64 (n_cells,), from 0.

    Parameters
    ----------
    labels
        (n_cells,), object, None where a cell has no label.
    alpha
        None: cells are shuffled and dealt in turn, so that sizes differ by one cell at most. Else
        each label's cells are divided by shares from a symmetric Dirichlet distribution: 0.3 is
        strong skew, 100 hardly any; unlabelled cells are dealt in turn.
    least_cells
        Of every site. Shares that leave a site fewer are drawn again.

    Raises
    ------
    ConfigError
        A setting is out of range, or no shares give every site cells enough.
    InputError
        There are too few cells.
    """
    if n_sites < 1 or least_cells < 1:
        raise ConfigError(f"{n_sites} sites of {least_cells} cells or more: give 1 or more of both")
    if alpha is not None and not 0 < alpha < np.inf:
        raise ConfigError(f"alpha = {alpha:g} of the Dirichlet distribution: give above 0, as 0.3")
    if len(labels) < n_sites * least_cells:
        raise InputError(
            f"{len(labels):,} cells are too few for {n_sites} sites of {least_cells:,} or more: "
            f"deal to {len(labels) // least_cells} at most, or lower the least."
        )
    rng = np.random.default_rng([seed, n_sites])
    site = np.full(len(labels), -1, dtype=np.int64)
    given = labelled(labels)
    if alpha is not None and given.any():
        codes = np.full(len(labels), -1)
        _, codes[given], n_cells = np.unique(
            labels[given].astype(str), return_inverse=True, return_counts=True
        )
        # The unlabelled are dealt in turn below.
        in_turn = np.arange((~given).sum()) % n_sites
        least = least_cells - np.bincount(in_turn, minlength=n_sites)
        site = random_parts(codes, _skewed(n_cells, least, alpha, rng), rng)
    rest = rng.permutation(np.flatnonzero(site < 0))
    site[rest] = np.arange(len(rest)) % n_sites
    return site


def _skewed(
    n_cells: np.ndarray, least: np.ndarray, alpha: float, rng: np.random.Generator
) -> np.ndarray:
    """Cells of each label that each site gets, (n_labels, n_sites).

    Parameters
    ----------
    n_cells
        (n_labels,) of each label.
    least
        (n_sites,) labelled cells that each site needs.
    """
    smallest = None
    for _ in range(_DRAWS):
        shares = rng.dirichlet(np.full(len(least), alpha), len(n_cells))
        # Rounded at random: else one site would get the lone cell of every label at each even deal.
        offsets = rng.random((len(n_cells), 1))
        ends = np.floor(np.cumsum(shares, axis=1) * n_cells[:, None] + offsets).astype(np.int64)
        ends[:, -1] = n_cells
        sizes = np.diff(ends, axis=1, prepend=0)
        lacking = (least - sizes.sum(axis=0)).max()
        if lacking <= 0:
            return sizes
        smallest = lacking if smallest is None else min(smallest, lacking)
    raise ConfigError(
        f"of {_DRAWS:,} draws with alpha = {alpha:g} none gave each of {len(least)} sites cells "
        f"enough (the best leaves one {smallest:,} short): raise alpha, deal to fewer sites, or "
        "lower the least"
    )
