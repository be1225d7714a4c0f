"""How a class's values of each gene fall into bins: one release, genes x bins x classes.

A record adds 1 to one bin of each gene in its class: L2 sensitivity sqrt(n_genes), a 1 being
COUNTED grid steps.
A donor adds, to each class that they have cells of, the shares of those cells in each bin, in steps
of radius / STEPS: at most sqrt(n_genes n_classes). Of raw counts the bin of zero is left out, as it
follows from the class's total, and what is left is clipped to an L2 ball of ``clip`` times these
radii.
"""

import math
from dataclasses import dataclass

import numpy as np

from common.synthesis.bins import bin_of
from common.synthesis.contributions import COUNTED, MOST_UNITS, STEPS, Pairs, whole_in_ball
from common.synthesis.generator import Stage, State
from common.synthesis.schema import Schema

BLOCK = 256  # units whose tables are in memory at once


@dataclass(frozen=True)
class ClassTable:
    """The release.

    Parameters
    ----------
    schema
        Genes, classes and unit.
    share
        Of mu^2.
    n_bins
        Of each gene.
    clip
        Public; of the largest possible radius, for raw counts only.
    shrink
        Public; 0 ... 1 of the way to all classes' shares where noise explains the distance.
    """

    schema: Schema
    share: float
    n_bins: int
    clip: float
    shrink: float

    @property
    def _in_counts(self) -> bool:
        """Whether a unit adds whole counts as they are."""
        return self.schema.unit == "record" and not self.schema.counts

    @property
    def _radius(self) -> float:
        classes = self.schema.n_classes if self.schema.unit == "donor" else 1
        clip = self.clip if self.schema.counts else 1.0
        return clip * math.sqrt(self.schema.n_genes * classes)

    @property
    def _shape(self) -> tuple[int, int, int]:
        kept = self.n_bins - 1 if self.schema.counts else self.n_bins
        return self.schema.n_classes, kept, self.schema.n_genes

    @property
    def stage(self) -> Stage:
        """Called ``table``."""
        l2 = COUNTED * self._radius if self._in_counts else STEPS
        bound = float(MOST_UNITS) * (COUNTED if self._in_counts else STEPS)
        return Stage("table", math.prod(self._shape), l2, self.share, bound)

    def statistics(self, pairs: Pairs, edges: np.ndarray) -> np.ndarray:
        """Sums over units: int64 (n_classes * n_kept_bins * n_genes,)."""
        kept = range(self.n_bins - self._shape[1], self.n_bins)
        bins = bin_of(pairs.values, edges)
        if self._in_counts:
            rows = [bins[pairs.classes == c] for c in range(self.schema.n_classes)]
            table = np.stack([[(of == b).sum(axis=0) for b in kept] for of in rows])
            return COUNTED * table.astype(np.int64).ravel()
        total = np.zeros(self._shape, dtype=np.int64)
        ends = pairs.starts + pairs.sizes
        for first in range(0, pairs.n_units, BLOCK):
            at = np.flatnonzero((pairs.pair_unit >= first) & (pairs.pair_unit < first + BLOCK))
            block = slice(pairs.starts[at[0]], ends[at[-1]])
            starts, sizes = pairs.starts[at] - pairs.starts[at[0]], pairs.sizes[at]
            shares = np.concatenate(
                [
                    np.add.reduceat((bins[block] == b).astype(np.float64), starts, axis=0)
                    / sizes[:, None]
                    for b in kept
                ],
                axis=1,
            )
            squares = (shares * shares).sum(axis=1)
            unit = pairs.pair_unit[at] - first
            norms = np.sqrt(np.bincount(unit, weights=squares))[unit]
            whole = whole_in_ball(shares, norms, self._radius)
            for c in range(self.schema.n_classes):
                mine = whole[pairs.pair_class[at] == c].sum(axis=0)
                total[c] += mine.reshape(self._shape[1:])
        return total.ravel()

    def take(self, total: np.ndarray, noise_sd: float, state: State) -> State:
        """``table`` (n_classes, n_genes, n_bins): probabilities that add up to 1."""
        unit = 1 / COUNTED if self._in_counts else self._radius / STEPS
        counts = np.moveaxis(total.reshape(self._shape) * unit, 1, 2)
        error = (noise_sd * unit) ** 2
        units = state["class_units"]
        if self._in_counts:
            units = self._better_units(counts, error, units, float(state["units_sd"]))
        if self.schema.counts:
            zeros = units[:, None, None] - counts.sum(axis=2, keepdims=True)
            counts = np.concatenate([zeros, counts], axis=2)
        shares = counts / units[:, None, None]
        # Of all classes together, shrunk towards the mean over genes.
        everyone = _centred(counts.sum(axis=0) / units.sum())
        together = _shrunk(everyone, everyone.mean(axis=0), error * len(units) / units.sum() ** 2)
        table = []
        for own, n in zip(_centred(shares), units, strict=True):
            shrunk = _shrunk(own, together, error / n**2)
            table.append(on_simplex(own + self.shrink * (shrunk - own)))
        return state | {"table": np.stack(table), "class_units": units}

    def _better_units(
        self, counts: np.ndarray, error: float, units: np.ndarray, units_sd: float
    ) -> np.ndarray:
        """Both releases' totals, weighted by their noise: every gene's bins add up to one."""
        own = counts.sum(axis=2).mean(axis=1)
        own_error = error * self.n_bins / self.schema.n_genes
        if not units_sd:
            return np.maximum(own, 1.0)
        weight = units_sd**2 / (units_sd**2 + own_error)
        return np.maximum(weight * own + (1 - weight) * units, max(math.sqrt(own_error), 1.0))


def _centred(shares: np.ndarray) -> np.ndarray:
    """The nearest shares that add up to 1 over the bins."""
    return shares + (1 - shares.sum(axis=-1, keepdims=True)) / shares.shape[-1]


def _shrunk(shares: np.ndarray, towards: np.ndarray, error: float) -> np.ndarray:
    """Empirical Bayes: as much of the way to ``towards`` as noise explains the distance."""
    away = shares - towards
    power = float((away**2).mean())
    return towards + (max(power - error, 0) / power if power else 0.0) * away


def on_simplex(shares: np.ndarray) -> np.ndarray:
    """The nearest probabilities, none negative, of which the last axis adds up to 1.

    References
    ----------
    Duchi et al. 2008, doi:10.1145/1390156.1390191, Figure 1.
    """
    falling = -np.sort(-shares, axis=-1)
    excess = np.cumsum(falling, axis=-1) - 1
    places = np.arange(1, shares.shape[-1] + 1)
    n = (falling - excess / places > 0).sum(axis=-1, keepdims=True)
    threshold = np.take_along_axis(excess, n - 1, axis=-1) / n
    cut = np.maximum(shares - threshold, 0)
    return cut / cut.sum(axis=-1, keepdims=True)
