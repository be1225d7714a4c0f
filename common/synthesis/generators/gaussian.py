"""Class means and a common low-rank covariance of at most four sums: normal records of each class.

Each release is a sum over units of vectors clipped to a ball, so its L2 sensitivity is the ball's
radius, ``STEPS`` grid steps, whatever the records are; docs/synthesize.md lists them.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.errors import ConfigError
from common.synthesis import scatter
from common.synthesis.class_prior import Noisy, class_deviations
from common.synthesis.contrast import (
    CLIPPING_DIFFERS,
    coordinate_sums,
    directions,
    n_directions,
    with_coordinates,
)
from common.synthesis.contributions import COUNTED, MOST_UNITS, STEPS, pairs_of
from common.synthesis.gaussian_options import GaussianOptions
from common.synthesis.generator import Generator, Stage, State
from common.synthesis.low_rank import loadings
from common.synthesis.matched_samples import deviations, mirrored, shrunk_into
from common.synthesis.options import options_of
from common.synthesis.ratio_means import Rows, weights_of, with_constant
from common.synthesis.records import Records
from common.synthesis.registry import register_generator
from common.synthesis.scale import bounds, from_scale, to_scale
from common.synthesis.schema import Schema
from common.synthesis.shrinkage import shrunk_to_mean, trusting

SD_OF_ABSOLUTE = math.sqrt(math.pi / 2)  # a normal variable's sd over its mean absolute value
LEAST_VARIANCE = 0.05  # of the mean of all genes'
# Of a gene's variance that classes differ by, at least: how far is seen once more, where is not.
LEAST_BETWEEN = 0.05


@register_generator("gaussian")
class Gaussian(Generator):
    """Stages ``coarse``, ``center``, ``classes``; with a share, ``contrast`` and ``scatter``.

    State, on the scale of :mod:`common.synthesis.scale`: ``center`` (n_genes,), its error's
    variance ``center_error``; ``class_units`` (n_classes,) and ``n_units``; ``sd`` (n_genes,) about
    the class means; ``means`` (n_classes, n_genes); ``loadings`` (n_genes, rank); what
    :func:`common.synthesis.contrast.directions` gives.
    """

    name = "gaussian"

    def __init__(
        self,
        schema: Schema,
        epsilon: float,
        delta: float,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__(schema, epsilon, delta, options)
        self.settings = options_of(GaussianOptions, self.name, options)
        self.low, self.high = bounds(schema)
        # Classes differ in the means of these alone: fewer numbers, in a smaller ball.
        self._class_genes = self.settings.places_in(schema.genes)
        self._n_class_genes = len(np.arange(schema.n_genes)[self._class_genes])
        self._seen_twice = self.settings.contrast_share > 0 and schema.n_classes > 1
        # A donor counts in each class and once for all: a vector of length sqrt(n_classes + 1).
        donor = schema.unit == "donor"
        self._n_counts = schema.n_classes + donor
        one = self.settings.count_weight * STEPS
        self._one = int(one / math.sqrt(self._n_counts)) if donor else int(one)
        if self._one < COUNTED:
            raise ConfigError(
                f"option count-weight = {self.settings.count_weight:g} of generator gaussian: one "
                f"of {schema.n_classes} classes' units is {self._one} grid steps, at least "
                f"{COUNTED} are needed; raise it"
            )
        self._count_norm = self._one * (math.sqrt(self._n_counts) if donor else 1)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Without that of no share."""
        d, k = self.schema.n_genes, self.schema.n_classes
        sizes = {
            "coarse": (self._n_counts + d + 1, math.hypot(self._count_norm, STEPS)),
            "center": (2 * d + 1, STEPS),
            "classes": (k * (self._n_class_genes + 1), STEPS),
        }
        if self._seen_twice:
            sizes["contrast"] = (k * (n_directions(k, self._n_class_genes) + 1), STEPS)
        if self.settings.scatter_share:
            sizes["scatter"] = (scatter.n_products(d) + d + 1, math.hypot(scatter.L2, STEPS))
        return tuple(
            Stage(name, n, l2, self.settings.shares[name], l2 * MOST_UNITS)
            for name, (n, l2) in sizes.items()
        )

    def statistics(self, stage: Stage, records: Records, state: State) -> np.ndarray:
        """See the stages; InputError if a record is not of the schema or a value not finite."""
        pairs = pairs_of(records, self.schema)
        scaled = to_scale(pairs.values, self.schema)
        n, k = pairs.n_units, self.schema.n_classes
        radius, nothing = self._radius(stage, state), np.zeros((len(pairs.starts), 0))
        if stage.name == "coarse":
            rows = pairs.unit_means(scaled - (self.low + self.high) / 2)
            counts = np.bincount(pairs.pair_class, minlength=k)
            counts = np.append(counts, n)[: self._n_counts].astype(np.int64) * self._one
            sums = Rows(with_constant(rows, radius), nothing).sums(pairs, radius, k)
            return np.concatenate([counts, sums])
        if stage.name == "center":
            away = scaled - state["center"]
            rows = with_constant(pairs.unit_means(away), radius)
            absolute = self.settings.absolute_weight * pairs.unit_means(np.abs(away))
            return Rows(np.hstack([absolute, rows]), nothing).sums(pairs, radius, k)
        if stage.name == "classes":
            rows = pairs.means(scaled - state["center"])[:, self._class_genes]
            return Rows(np.zeros((n, 0)), with_constant(rows, radius)).sums(pairs, radius, k)
        if stage.name == "contrast":
            return coordinate_sums(scaled, pairs, state, k)
        away = (scaled - state["means"][pairs.classes]) / state["sd"]
        absolute = with_constant(pairs.unit_means(np.abs(away)), radius)
        own = Rows(absolute, nothing).sums(pairs, radius, k)
        return np.concatenate([scatter.products(away, pairs), own])

    def take(self, stage: Stage, total: np.ndarray, noise_sd: float, state: State) -> State:
        """What is known after it, see the class."""
        unit = self._radius(stage, state) / STEPS
        if stage.name == "coarse":
            counts, sums = np.split(total, [self._n_counts])
            state = state | self._counted(counts / self._one, noise_sd / self._one)
            weight, noise = self._weight(sums[-1], noise_sd), noise_sd * unit
            away, error = shrunk_to_mean(sums[:-1] * unit / weight, (noise / weight) ** 2)
            middle = (self.low + self.high) / 2
            center = np.clip(middle + away, self.low, self.high)
            return state | {"center": center, "center_error": np.array(error)}
        if stage.name == "center":
            return state | self._centered(total, noise_sd, unit, state)
        if stage.name == "classes":
            return state | self._classes(total, noise_sd, unit, state)
        if stage.name == "contrast":
            together = self.schema.n_classes if self.schema.unit == "donor" else 1
            return state | with_coordinates(total, noise_sd, state, together)
        return state | self._scatter(total, noise_sd, unit, state)

    def sample(
        self, state: State, counts: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Normal records, within the bounds; counts of single cells are rounded."""
        classes = np.repeat(np.arange(len(counts)), counts)
        away = deviations(state["loadings"], classes, rng) * state["sd"]
        values = state["means"][classes] + away
        if self._seen_twice:
            away = mirrored(away, classes, state["axes"])
            middle = state["class_units"] @ state["means"] / state["class_units"].sum()
            away += state["means"][classes] - middle
            values = shrunk_into(middle, away, self.low, self.high)
        values = from_scale(values, self.schema)
        return (np.round(values) if self.schema.counts else values), classes

    def _radius(self, stage: Stage, state: State) -> float:
        d, width = self.schema.n_genes, self.high - self.low
        if stage.name == "coarse":
            return self.settings.coarse_clip * width / 2 * math.sqrt(d)
        if stage.name == "center":
            squares = d * ((self.settings.spread * width) ** 2 + float(state["center_error"]))
        elif stage.name == "classes":
            squares = (state["sd"] ** 2 + state["center_error"])[self._class_genes].sum()
        else:
            squares = d
        return self.settings.clip * math.sqrt(squares)

    def _weight(self, constants: np.ndarray, noise_sd: float) -> np.ndarray:
        """Units that count in a mean: where noise hides them, as many as it might."""
        return np.maximum(weights_of(constants), max(0.5 * float(weights_of(noise_sd)), 1e-9))

    def _counted(self, counts: np.ndarray, sd: float) -> State:
        k = self.schema.n_classes
        units = counts[-1] if self._n_counts > k else counts.sum()
        least = max(sd, 1.0)
        return {
            "class_units": np.maximum(counts[:k], least),
            "class_units_sd": np.array(sd),
            "n_units": np.array(max(units, least)),
            "n_counted": np.array(counts[:k].sum()),
        }

    def _centered(self, total: np.ndarray, noise_sd: float, unit: float, state: State) -> State:
        d = self.schema.n_genes
        weight = self._weight(total[-1], noise_sd)
        error = (noise_sd * unit / weight) ** 2
        away = total[d:-1] * unit / weight
        part = unit / weight / self.settings.absolute_weight
        absolute, noise = total[:d] * part, (noise_sd * part) ** 2
        center = np.clip(state["center"] + away, self.low, self.high)
        # Deviations were from the coarse mean: its own error is seen by now, less this one's. Each
        # square has the noise's variance in it.
        c = SD_OF_ABSOLUTE**2
        variance = c * (absolute**2 - noise) - (away**2 - error)
        unsure = 2 * c**2 * (2 * absolute**2 * noise) + 4 * away**2 * error
        variance, _ = shrunk_to_mean(variance, float(unsure.mean()))
        if variance.mean() <= 0:
            # Noise hides how far genes vary: as far as usual.
            variance = np.full(d, (self.settings.spread * (self.high - self.low)) ** 2)
        variance = _at_least(variance, variance)
        return {"center": center, "center_error": np.array(error), "sd": np.sqrt(variance)}

    def _classes(self, total: np.ndarray, noise_sd: float, unit: float, state: State) -> State:
        k = self.schema.n_classes
        sums = total.reshape(k, -1)
        # Two noisy numbers of a class's records: how many, released before, and here how many less
        # what was clipped of them. Clipping differs a little by class, so neither stands for the
        # other exactly.
        here, before = weights_of(sums[:, -1]), state["class_units"]
        clipped = max(here.sum(), 1e-9) / before.sum()
        sd = np.array([float(weights_of(noise_sd)), float(state["class_units_sd"]) * clipped])
        scaled, differs = before * clipped, (CLIPPING_DIFFERS * before * clipped) ** 2
        weight = trusting(here, sd[0] ** 2, scaled, sd[1] ** 2 + differs)
        units = trusting(scaled, sd[1] ** 2, here, sd[0] ** 2 + differs) / clipped
        weight = np.maximum(weight, max(0.5 * sd.min(), 1e-9))[:, None]
        y = sums[:, :-1] * unit / weight
        noise = np.broadcast_to((noise_sd * unit / weight) ** 2, y.shape)
        seen = Noisy(y, noise, float(state["center_error"]), weight[:, 0] / weight.sum())
        genes = self._class_genes
        away, between = np.zeros((k, self.schema.n_genes)), np.zeros(self.schema.n_genes)
        least = LEAST_BETWEEN if self._seen_twice else 0.0
        found = class_deviations(seen, state["sd"][genes] ** 2, least=least)
        away[:, genes] = found
        between[genes] = seen.shares @ (found - seen.shares @ found) ** 2
        means = state["center"] + away
        state = {
            # With a contrast they are one plane's, which cutting them would bend.
            "means": means if self._seen_twice else np.clip(means, self.low, self.high),
            "sd": np.sqrt(_at_least(state["sd"] ** 2 - between, state["sd"] ** 2)),
            "class_units": np.maximum(units, max(0.5 * sd.min() / clipped, 1e-9)),
            "loadings": np.zeros((self.schema.n_genes, 0)),
        }
        if self._seen_twice:
            state |= directions(state["means"], state["sd"], state["class_units"], genes)
        return state

    def _scatter(self, total: np.ndarray, noise_sd: float, unit: float, state: State) -> State:
        d = self.schema.n_genes
        pairs, absolute = np.split(total, [len(total) - d - 1])
        weight = self._weight(absolute[-1], noise_sd)
        found = absolute[:-1] * unit / weight
        found, _ = shrunk_to_mean(found, (noise_sd * unit / weight) ** 2)
        matrix, error = scatter.correlations(pairs, noise_sd, float(state["n_units"]), d)
        squares = (SD_OF_ABSOLUTE * found) ** 2
        sd = state["sd"] * np.sqrt(_at_least(squares, squares))
        return {"sd": sd, "loadings": loadings(matrix, error)}


def _at_least(variance: np.ndarray, usual: np.ndarray) -> np.ndarray:
    return np.maximum(variance, LEAST_VARIANCE * np.maximum(usual.mean(), 1e-12))
