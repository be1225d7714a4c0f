"""Each class's mean: one release, clipped around the mean of all and shrunk towards it.

A unit adds, to the rows of its classes, the mean of its records there minus the common mean; all
its rows together are clipped to an L2 ball (a donor's is sqrt(n_classes) wider): sensitivity STEPS.
"""

from dataclasses import dataclass

import numpy as np

from common.synthesis.contributions import MOST_UNITS, STEPS, Pairs, whole_in_ball
from common.synthesis.generator import Stage, State
from common.synthesis.location import Location
from common.synthesis.scale import bounds, to_scale
from common.synthesis.schema import Schema


@dataclass(frozen=True)
class ClassMeans:
    """The release; ``location`` tells center and radius, ``share`` is of mu^2."""

    schema: Schema
    location: Location
    share: float

    @property
    def stage(self) -> Stage:
        """Called ``class_means``."""
        n_values = self.schema.n_classes * self.schema.n_genes
        return Stage("class_means", n_values, STEPS, self.share, float(STEPS) * MOST_UNITS)

    def _radius(self, state: State) -> float:
        classes = self.schema.n_classes if self.schema.unit == "donor" else 1
        return self.location.radius(state, classes)

    def statistics(self, pairs: Pairs, state: State) -> np.ndarray:
        """Sums of deviations from the center by class: int64 (n_classes * n_genes,)."""
        rows = pairs.means(to_scale(pairs.values, self.schema) - state["center"])
        norms = pairs.unit_norms(rows)[pairs.pair_unit]
        whole = whole_in_ball(rows, norms, self._radius(state))
        return pairs.by_class(whole, self.schema.n_classes).ravel()

    def take(self, total: np.ndarray, noise_sd: float, state: State) -> State:
        """``means`` (n_classes, n_genes) on the scale."""
        unit = self._radius(state) / STEPS
        units = state["class_units"][:, None]
        away = total.reshape(self.schema.n_classes, -1) * unit / units
        error = (noise_sd * unit / units) ** 2
        power = (away**2).mean(axis=1, keepdims=True)
        # Empirical Bayes: deviations of variance power - error were seen with noise of `error`.
        kept = np.maximum(power - error, 0) / np.maximum(power, 1e-300) if noise_sd else 1.0
        low, high = bounds(self.schema)
        return state | {"means": np.clip(state["center"] + kept * away, low, high)}
