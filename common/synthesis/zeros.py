"""Each gene's share of zeros: one release.

A unit adds, for each gene, 1 if its count is not zero (a donor: the mean over classes of the means
of their cells'): an n_genes vector of numbers of 0 ... 1, whose L2 norm is at most sqrt(n_genes).
"""

import math
from dataclasses import dataclass

import numpy as np

from common.synthesis.contributions import MOST_UNITS, STEPS, Pairs, whole_in_ball
from common.synthesis.generator import Stage, State
from common.synthesis.schema import Schema


@dataclass(frozen=True)
class Zeros:
    """The release; ``share`` is of mu^2."""

    schema: Schema
    share: float

    @property
    def stage(self) -> Stage:
        """Called ``zeros``."""
        return Stage("zeros", self.schema.n_genes, STEPS, self.share, float(STEPS) * MOST_UNITS)

    @property
    def _radius(self) -> float:
        return math.sqrt(self.schema.n_genes)

    def statistics(self, pairs: Pairs) -> np.ndarray:
        """Sums of what is not zero: int64 (n_genes,)."""
        rows = pairs.unit_means((pairs.values > 0).astype(np.float64))
        norms = np.sqrt((rows * rows).sum(axis=1))
        return whole_in_ball(rows, norms, self._radius).sum(axis=0)

    def take(self, total: np.ndarray, noise_sd: float, state: State) -> State:
        """``zeros`` (n_genes,) of 0 ... 1, and the variance of their error."""
        unit = self._radius / STEPS / float(state["n_units"])
        return state | {
            "zeros": 1 - np.clip(total * unit, 0, 1),
            "zeros_error": np.array((noise_sd * unit) ** 2),
        }
