"""Each class's mean: one release, clipped around the mean of all and shrunk towards it.

A unit adds, to the rows of its classes, the mean of its records there minus the common mean; all
its rows together are clipped to an L2 ball (a donor's is sqrt(n_classes) wider): sensitivity STEPS.
"""

from dataclasses import dataclass

import numpy as np

from common.synthesis.class_prior import Noisy, class_deviations
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
        """``means`` (n_classes, n_genes) on the scale, and the noisy ``class_away`` they are of."""
        unit = self._radius(state) / STEPS
        units = state["class_units"][:, None]
        away = total.reshape(self.schema.n_classes, -1) * unit / units
        error = (noise_sd * unit / units) ** 2
        state = state | {"class_away": away, "class_error": error}
        return self.shrunk(state, np.ones(self.schema.n_genes))

    def shrunk(self, state: State, variance: np.ndarray) -> State:
        """``means`` as all classes and genes, with so much ``variance`` each, make them likely."""
        away, units = state["class_away"], state["class_units"]
        error = np.broadcast_to(state["class_error"], away.shape)
        seen = Noisy(away, error, float(state["center_error"]), units / units.sum())
        low, high = bounds(self.schema)
        means = state["center"] + class_deviations(seen, variance)
        return state | {"means": np.clip(means, low, high)}
