"""Each gene's mean over all units, released in steps: coarsely, then clipped around what is known.

Three releases, each of one vector y_u a unit: its record on the scale of
:mod:`common.synthesis.scale`; for a donor the mean over classes of the means of their cells.

- ``coarse``: y_u minus the middle of the public bounds, clipped to an L2 ball of ``coarse-clip``
  times the bounds' half width times sqrt(n_genes); of raw counts, which are mostly zero, y_u minus
  the lower bound and ``coarse-clip`` times sqrt(n_genes). Sensitivity STEPS grid steps.
- ``norms``: one histogram over units of the distance of their records from that mean, per gene
  (root mean square). One unit counts once: sensitivity 1, COUNTED grid steps. It pays for the
  radius of all later clipping; with the public option ``clip`` the radius costs nothing.
- ``location``: y_u minus the coarse mean, clipped to the radius. Sensitivity STEPS.

The number of units is ``n_units`` of the state, from an earlier release.
"""

import math
from dataclasses import dataclass

import numpy as np

from common.synthesis.contributions import COUNTED, MOST_UNITS, STEPS, Pairs, whole_in_ball
from common.synthesis.generator import Stage, State
from common.synthesis.scale import bounds, to_scale
from common.synthesis.schema import Schema
from common.synthesis.shrinkage import spread_beyond

# Root mean squares: quarter octaves from 2^-6 to 2^6.
EDGES = 2.0 ** np.arange(-6, 6.25, 0.25)
# Of units whose vector is not clipped: norms of long vectors are alike, few are clipped by much.
QUANTILE, NOISELESS_QUANTILE = 0.6, 1.0
# A bin with fewer units than that many standard deviations of noise may be noise alone.
SEEN = 3.5


@dataclass(frozen=True)
class Location:
    """The three releases.

    Parameters
    ----------
    schema
        Genes and bounds.
    shares
        Of mu^2 for coarse, norms and location.
    coarse_clip
        Public; of the half width of the bounds.
    clip
        Public; a radius per gene on the scale, or 0: from ``norms``.
    usual
        Public; the radius per gene if the noise hides the norms.
    """

    schema: Schema
    shares: tuple[float, float, float]
    coarse_clip: float
    clip: float
    usual: float

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those of a clip that is given, or to be found."""
        d, (coarse, norms, location) = self.schema.n_genes, self.shares
        bound = float(STEPS) * MOST_UNITS
        if self.clip:
            coarse, location = coarse + norms / 2, location + norms / 2
        first = Stage("coarse", d, STEPS, coarse, bound)
        second = Stage("norms", len(EDGES), COUNTED, norms, float(COUNTED) * MOST_UNITS)
        last = Stage("location", d, STEPS, location, bound)
        return (first, last) if self.clip else (first, second, last)

    def statistics(self, stage: Stage, pairs: Pairs, state: State) -> np.ndarray:
        """Of one of the three: int64."""
        scaled = to_scale(pairs.values, self.schema)
        if stage.name == "norms":
            away = pairs.means(scaled - state["center"])
            rms = pairs.unit_norms(away) / np.sqrt(pairs.pairs_of_unit * self.schema.n_genes)
            return COUNTED * np.bincount(_bin_of(rms), minlength=len(EDGES)).astype(np.int64)
        center, radius = self._ball(stage, state)
        rows = pairs.unit_means(scaled - center)
        norms = np.sqrt((rows * rows).sum(axis=1))
        return whole_in_ball(rows, norms, radius).sum(axis=0)

    def take(self, stage: Stage, total: np.ndarray, noise_sd: float, state: State) -> State:
        """``center`` (n_genes,), its error variance and the ``clip`` found so far."""
        if stage.name == "norms":
            rms = self._quantile(total, noise_sd)
            # What the coarse mean's error adds to a distance is known and will be gone.
            own = max(rms**2 - float(state["center_error"]), rms**2 / 16) if rms else self.usual**2
            return state | {"own_rms": np.array(math.sqrt(own))}
        center, radius = self._ball(stage, state)
        unit = radius / STEPS / float(state["n_units"])
        found, error = total * unit, (noise_sd * unit) ** 2
        if stage.name == "coarse":
            # Shrunk towards the mean over genes as far as noise explains their spread; genes differ
            # by something, though noise may hide it.
            middle, prior = found.mean(), max(spread_beyond(found, error), (self.usual / 2) ** 2)
            state = state | {"own_rms": np.array(self.clip or self.usual)}
        else:
            # Shrunk towards the coarse mean, whose error is known.
            middle, prior = 0.0, float(state["center_error"])
        kept = prior / (prior + error) if error else 1.0
        found, error = middle + kept * (found - middle), kept * error
        low, high = bounds(self.schema)
        return state | {
            "center": np.clip(center + found, low, high),
            "center_error": np.array(error),
        }

    def radius(self, state: State, n_classes: int = 1) -> float:
        """Of a ball around ``center`` for a unit's vectors of so many classes."""
        if self.clip:
            per_gene = self.clip
        else:
            per_gene = math.sqrt(float(state["own_rms"]) ** 2 + float(state["center_error"]))
        return per_gene * math.sqrt(self.schema.n_genes * n_classes)

    def _ball(self, stage: Stage, state: State) -> tuple[np.ndarray, float]:
        if stage.name == "location":
            return state["center"], self.radius(state)
        low, high = bounds(self.schema)
        middle, width = (low, 1.0) if self.schema.counts else ((low + high) / 2, (high - low) / 2)
        center = np.full(self.schema.n_genes, middle)
        return center, self.coarse_clip * width * math.sqrt(self.schema.n_genes)

    def _quantile(self, histogram: np.ndarray, noise_sd: float) -> float:
        """Of the distances; 0 if noise hides them."""
        above = np.where(histogram > SEEN * noise_sd, histogram, 0)
        if not above.any():
            return 0.0
        wanted = QUANTILE if noise_sd else NOISELESS_QUANTILE
        place = np.searchsorted(np.cumsum(above), wanted * above.sum() * (1 - 1e-12))
        return float(EDGES[place])


def _bin_of(rms: np.ndarray) -> np.ndarray:
    """The first edge not below it; the last for all beyond."""
    return np.minimum(np.searchsorted(EDGES, rms), len(EDGES) - 1)
