"""What to simulate: how many sites, cells and genes, and how strongly the sites differ."""

import math
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from common.errors import ConfigError

LEAST_CELLS = 50
_LEAST = {"n_sites": 1, "n_cells": 1, "seed": 0, "n_genes": 20}
_RANGES = {
    "site_sigma": (0, 3),
    "batch_ratio": (0, 1),
    "type_ratio": (0, 1),
    "depth_sigma": (0, 3),
    "median_counts": (50, 1e6),
    "concentration": (0.1, 1e6),
}


@dataclass(frozen=True)
class SimulationPlan:
    """A multi-hospital study; the same plan always gives the same cells.

    Parameters
    ----------
    n_sites
        Hospitals, called ``hospital-1`` and on.
    n_cells
        Cells of all sites together.
    n_genes
        None: the 765 real genes. Fewer: those of highest mean expression. More: further genes,
        ``SIM00001`` and on, made from the real ones.
    seed
        Of everything random.
    site_sigma
        Standard deviation of a site's log effect on a gene (natural log).
    batch_ratio, type_ratio
        That of a batch within a site, and of a site on one cell type only, over ``site_sigma``.
    depth_sigma
        Standard deviation of a site's log sequencing depth.
    median_counts
        Counts over the 765 real genes of a median cell. The real cells have 653; more depth keeps
        types apart on so few genes.
    concentration
        Of the Dirichlet distribution that draws a site's cell-type proportions around the real
        ones; higher makes sites more alike.
    shares
        Each site's share of the cells, in any unit; None: falling as 1 / sqrt(site number).

    Raises
    ------
    ConfigError
        A value is out of range, or a site would have fewer than 50 cells.
    """

    n_sites: int = 4
    n_cells: int = 4000
    n_genes: int | None = None
    seed: int = 0
    site_sigma: float = 0.4
    batch_ratio: float = 0.5
    type_ratio: float = 0.25
    depth_sigma: float = 0.25
    median_counts: float = 1500.0
    concentration: float = 40.0
    shares: tuple[float, ...] | None = None

    def __post_init__(self):
        for name, least in _LEAST.items():
            if name != "n_genes" or self.n_genes is not None:
                self._set(name, _whole(name, getattr(self, name), least))
        for name, (least, most) in _RANGES.items():
            self._set(name, _real(name, getattr(self, name), least, most))
        if self.shares is not None:
            self._set("shares", tuple(_real("shares", s, 1e-9, 1e9) for s in self.shares))
            if len(self.shares) != self.n_sites:
                raise ConfigError(
                    f"shares has {len(self.shares)} value(s) for n_sites = {self.n_sites}: "
                    "give one per site, or None."
                )
        smallest = self.site_sizes.min()
        if smallest < LEAST_CELLS:
            enough = math.ceil(LEAST_CELLS / self._site_shares().min()) + self.n_sites
            raise ConfigError(
                f"n_cells = {self.n_cells:,} over {self.n_sites} site(s) leaves "
                f"hospital-{self.site_sizes.argmin() + 1} {smallest} cell(s), fewer than "
                f"{LEAST_CELLS}: set n_cells to {enough:,} or more, or have fewer sites."
            )

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def site_sizes(self) -> np.ndarray:
        """``(n_sites,)`` cells per site, int64; their sum is ``n_cells``."""
        ends = np.rint(np.cumsum(self._site_shares()) * self.n_cells).astype(np.int64)
        return np.diff(ends, prepend=0)

    def _site_shares(self) -> np.ndarray:
        shares = self.shares or 1 / np.sqrt(np.arange(1, self.n_sites + 1))
        return np.asarray(shares, dtype=np.float64) / np.sum(shares)


def _whole(name: str, value: object, least: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} = {value!r}: give a whole number of {least} or more.")
    return int(value)


def _real(name: str, value: object, least: float, most: float) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigError(f"{name} = {value!r}: give a number from {least:g} to {most:g}.")
    return float(value)
