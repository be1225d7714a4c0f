"""How many units there are of each class: one release of counts.

A record adds 1 to its class: L2 sensitivity 1. A donor adds 1 to each class that they have a cell
of, at most all, and 1 to the number of donors: sqrt(n_classes + 1). A 1 is COUNTED grid steps.
"""

import math
from dataclasses import dataclass

import numpy as np

from common.synthesis.contributions import COUNTED, MOST_UNITS, Pairs
from common.synthesis.generator import Stage, State
from common.synthesis.schema import Schema


@dataclass(frozen=True)
class Totals:
    """The release; ``share`` is of mu^2."""

    schema: Schema
    share: float

    @property
    def stage(self) -> Stage:
        """Called ``totals``."""
        n, bound = self.schema.n_classes, float(COUNTED) * MOST_UNITS
        if self.schema.unit == "record":
            return Stage("totals", n, COUNTED, self.share, bound)
        return Stage("totals", n + 1, COUNTED * math.sqrt(n + 1), self.share, bound)

    def statistics(self, pairs: Pairs) -> np.ndarray:
        """Units of each class; of donors their number, too: int64, grid steps."""
        counts = np.bincount(pairs.pair_class, minlength=self.schema.n_classes)
        if self.schema.unit == "donor":
            counts = np.append(counts, pairs.n_units)
        return COUNTED * counts.astype(np.int64)

    def take(self, total: np.ndarray, noise_sd: float, state: State) -> State:
        """``class_units`` (n_classes,), ``n_units``, none below the noise or 1, and its size.

        ``n_counted`` are units of all classes together as they were found.
        """
        total, noise_sd = total / COUNTED, noise_sd / COUNTED
        least, n = max(noise_sd, 1.0), self.schema.n_classes
        units = total[n] if self.schema.unit == "donor" else total.sum()
        return state | {
            "class_units": np.maximum(total[:n], least),
            "n_units": np.array(max(float(units), least)),
            "n_counted": np.array(float(total[:n].sum())),
            "units_sd": np.array(noise_sd),
        }
