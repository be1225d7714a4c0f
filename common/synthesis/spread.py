"""Each gene's variance about what is expected of a record: one release.

A unit adds the squares of its record's deviations (a donor: the mean over classes of the means of
their cells'), an n_genes vector clipped to an L2 ball: sensitivity STEPS grid steps.
"""

import math
from dataclasses import dataclass

import numpy as np

from common.synthesis.contributions import MOST_UNITS, STEPS, Pairs, whole_in_ball
from common.synthesis.generator import Stage, State
from common.synthesis.scale import to_scale
from common.synthesis.schema import Schema
from common.synthesis.shrinkage import spread_beyond

# Root of the mean fourth power over the variance: sqrt(3) of a Gaussian, more where genes differ.
TAILS, COUNTS_TAILS = math.sqrt(3.0), 3.0
NOISELESS = 100.0  # so much wider is the ball without noise
LEAST = 0.05  # of the mean variance


@dataclass(frozen=True)
class Spread:
    """The release.

    Parameters
    ----------
    schema
        Genes and unit.
    share
        Of mu^2.
    usual
        Public; a donor's cells' standard deviation per gene. Of records that of the state.
    private
        Whether there is noise.
    """

    schema: Schema
    share: float
    usual: float
    private: bool

    @property
    def stage(self) -> Stage:
        """Called ``spread``."""
        bound = float(STEPS) * MOST_UNITS
        return Stage("spread", self.schema.n_genes, STEPS, self.share, bound)

    def _radius(self, state: State) -> float:
        sd = self.usual if self.schema.unit == "donor" else float(state["own_rms"])
        tails = COUNTS_TAILS if self.schema.counts else TAILS
        width = 1.0 if self.private else NOISELESS
        return width * tails * sd**2 * math.sqrt(self.schema.n_genes)

    def statistics(self, pairs: Pairs, expected: np.ndarray, state: State) -> np.ndarray:
        """Squares about ``expected`` (n_kept, n_genes), summed: int64 (n_genes,)."""
        squares = (to_scale(pairs.values, self.schema) - expected) ** 2
        rows = pairs.unit_means(squares)
        norms = np.sqrt((rows * rows).sum(axis=1))
        return whole_in_ball(rows, norms, self._radius(state)).sum(axis=0)

    def take(self, total: np.ndarray, noise_sd: float, state: State) -> State:
        """``variance`` (n_genes,), shrunk to their mean as far as noise explains their spread."""
        unit = self._radius(state) / STEPS / float(state["n_units"])
        found, error = total * unit, (noise_sd * unit) ** 2
        # All genes together are known well; where even that is lost, what is public is left.
        middle, spread = found.mean(), found.var()
        beyond = spread_beyond(found, error)
        if middle <= 2 * math.sqrt(error / len(found)):
            middle = self.usual**2 if self.private else max(middle, 1e-12)
        kept = beyond / spread if spread else 1.0
        shrunk = middle + kept * (found - middle)
        least = LEAST if self.private else 0.0
        return state | {
            "variance": np.maximum(shrunk, least * middle),
            "variance_error": np.array(kept * error),
        }
