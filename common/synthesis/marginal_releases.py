"""Noised marginals of each class and gene: what generators that add dependence begin with.

Releases, in order: totals, coarse, norms, location, class_means, spread; zeros where counts are
zero-inflated. ``docs/synthesize.md`` has the sensitivities.
"""

import math

import numpy as np

from common.errors import ConfigError
from common.synthesis.class_means import ClassMeans
from common.synthesis.contributions import Pairs
from common.synthesis.generator import Stage, State
from common.synthesis.location import Location
from common.synthesis.marginal_options import MarginalOptions
from common.synthesis.negative_binomial import Counts, fitted
from common.synthesis.normal_scores import CLIP, CountMarginals, GaussianMarginals, Marginals
from common.synthesis.schema import Schema
from common.synthesis.score_length import score_length
from common.synthesis.spread import Spread
from common.synthesis.totals import Totals
from common.synthesis.zeros import Zeros

SPREAD, ZEROS = 0.06, 0.04  # of mu^2
TOTALS, COARSE, NORMS, LOCATION, MEANS = 0.07, 0.08, 0.02, 0.28, 0.55  # of what is left


class MarginalReleases:
    """The releases.

    Parameters
    ----------
    schema, epsilon
        Of the generator.
    share
        Of mu^2, for all of them.
    options
        Public.

    Raises
    ------
    ConfigError
        Zero-inflated marginals of log values.
    """

    def __init__(self, schema: Schema, epsilon: float, share: float, options: MarginalOptions):
        inflated = options.marginal == "zinb"
        if inflated and not schema.counts:
            raise ConfigError("marginal = zinb is for counts; log values have Gaussian marginals")
        self.schema, self._private = schema, math.isfinite(epsilon)
        usual = options.usual or (0.3 if schema.counts else 1.0)
        rest = share * (1 - SPREAD - (ZEROS if inflated else 0))
        self._totals = Totals(schema, TOTALS * rest)
        shares = (COARSE * rest, NORMS * rest, LOCATION * rest)
        clip = options.clip
        if not clip and schema.unit == "donor" and self._private:
            # Donors are few: their histogram is hidden by its noise.
            clip = usual
        self._location = Location(schema, shares, options.coarse_clip, clip, usual)
        self._means = ClassMeans(schema, self._location, MEANS * rest)
        self._spread = Spread(schema, SPREAD * share, usual, self._private)
        self._zeros = Zeros(schema, ZEROS * share) if inflated else None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """In their order."""
        stages = (self._totals.stage, *self._location.stages, self._means.stage)
        stages = (*stages, self._spread.stage)
        return (*stages, self._zeros.stage) if self._zeros else stages

    def statistics(self, stage: Stage, pairs: Pairs, state: State) -> np.ndarray:
        """Of one of them: int64."""
        match stage.name:
            case "totals":
                return self._totals.statistics(pairs)
            case "class_means":
                return self._means.statistics(pairs, state)
            case "spread":
                return self._spread.statistics(pairs, state["means"][pairs.classes], state)
            case "zeros":
                return self._zeros.statistics(pairs)
            case _:
                return self._location.statistics(stage, pairs, state)

    def take(self, stage: Stage, total: np.ndarray, noise_sd: float, state: State) -> State:
        """The state with what one of them tells."""
        match stage.name:
            case "totals":
                return self._totals.take(total, noise_sd, state)
            case "class_means":
                return self._means.take(total, noise_sd, state)
            case "spread":
                return self._with_marginals(self._spread.take(total, noise_sd, state))
            case "zeros":
                return self._with_marginals(self._zeros.take(total, noise_sd, state))
            case _:
                return self._location.take(stage, total, noise_sd, state)

    def marginals(self, state: State) -> Marginals:
        """Of a state after the releases."""
        if not self.schema.counts:
            sds = np.sqrt(np.maximum(state["variance"], 1e-12))
            return GaussianMarginals(state["means"], sds, self.schema.low, self.schema.high)
        sizes, inflation = state["nb_sizes"], state["zero_inflation"]
        return CountMarginals(Counts(state["nb_means"], sizes, inflation, self.schema.high))

    def scores(self, pairs: Pairs, state: State) -> np.ndarray:
        """Normal scores of the kept records, float64 (n_kept, n_genes)."""
        marginals, scores = self.marginals(state), np.zeros(pairs.values.shape)
        for c in range(self.schema.n_classes):
            mine = pairs.classes == c
            if mine.any():
                scores[mine] = marginals.scores(pairs.values[mine], c)
        return scores

    def slopes(self, state: State) -> np.ndarray:
        """Of the marginals, mean over classes by their units, (n_genes,)."""
        marginals, weights = self.marginals(state), state["class_units"]
        return sum(w * marginals.slopes(c) for c, w in enumerate(weights)) / weights.sum()

    def _with_marginals(self, state: State) -> State:
        # Now that each gene's variance is known.
        state = self._means.shrunk(state, np.maximum(state["variance"], 1e-12))
        if self.schema.counts:
            zeros = state.get("zeros")
            fit = fitted(
                state["means"],
                state["variance"],
                float(state["variance_error"]),
                state["class_units"],
                self.schema.high,
                zeros,
                float(state["zeros_error"]) if zeros is not None else 0.0,
            )
            state = state | {
                "nb_means": fit.means,
                "nb_sizes": fit.sizes,
                "zero_inflation": fit.inflations,
            }
        n_classes, n_genes = self.schema.n_classes, self.schema.n_genes
        # Without noise none is longer.
        length = CLIP * math.sqrt(n_genes)
        if self._private:
            length = score_length(self.marginals(state), n_classes, n_genes)
        return state | {"score_length": np.array(length)}
