"""Noised marginals of each class, tied by a low-rank Gaussian copula.

Log values: Gaussian marginals. Counts: negative binomial or zero-inflated ones that have the
released moments of log(1 + count). Releases: those of
:mod:`common.synthesis.marginal_releases`, then, where it pays, correlations of normal scores.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from common.errors import ConfigError
from common.synthesis.contributions import pairs_of
from common.synthesis.generator import Generator, Stage, State
from common.synthesis.marginal_options import MarginalOptions
from common.synthesis.marginal_releases import MarginalReleases
from common.synthesis.matched_samples import deviations
from common.synthesis.options import LEAST_PART, options_of
from common.synthesis.records import Records
from common.synthesis.registry import register_generator
from common.synthesis.schema import Schema
from common.synthesis.score_correlation import MOST_GENES, ScoreCorrelation

LEAST_EPSILON = 4.0
SHARE = 0.25


class CopulaOptions(MarginalOptions):
    """``copula-share`` is of mu^2; below 0: by the rule of :func:`_share`."""

    rank: int = Field(20, ge=0, le=200)
    copula_share: float = Field(-1.0, ge=-1, le=0.9)
    donor_clip: float = Field(0.3, ge=LEAST_PART, le=1)


def _share(options: CopulaOptions, schema: Schema, epsilon: float) -> float:
    """Of mu^2, for correlations: fixed before anything is released."""
    if not options.rank:
        return 0.0
    if options.copula_share >= 0:
        return options.copula_share
    if math.isinf(epsilon):
        return SHARE
    # A donor's noise hides all correlations at any epsilon that protects.
    return SHARE if epsilon >= LEAST_EPSILON and schema.unit == "record" else 0.0


@register_generator("copula")
class Copula(Generator):
    """See the module."""

    name = "copula"

    def __init__(
        self,
        schema: Schema,
        epsilon: float,
        delta: float,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__(schema, epsilon, delta, options)
        own = options_of(CopulaOptions, self.name, options)
        share = _share(own, schema, epsilon)
        if share and schema.n_genes > MOST_GENES:
            raise ConfigError(
                f"correlations of {schema.n_genes} genes are too many to sum, at most "
                f"{MOST_GENES}: choose fewer genes, or rank = 0"
            )
        self._marginal = MarginalReleases(schema, epsilon, 1 - share, own)
        donor_clip = own.donor_clip if math.isfinite(epsilon) else 1.0
        self._correlation = ScoreCorrelation(schema, share, donor_clip, own.rank) if share else None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Marginals, then correlations."""
        stages = self._marginal.stages
        return (*stages, self._correlation.stage) if self._correlation else stages

    def statistics(self, stage: Stage, records: Records, state: State) -> np.ndarray:
        """See :class:`Generator`."""
        pairs = pairs_of(records, self.schema)
        if stage.name != "copula":
            return self._marginal.statistics(stage, pairs, state)
        return self._correlation.statistics(pairs, self._marginal.scores(pairs, state), state)

    def take(self, stage: Stage, total: np.ndarray, noise_sd: float, state: State) -> State:
        """See :class:`Generator`."""
        if stage.name != "copula":
            return self._marginal.take(stage, total, noise_sd, state)
        slopes = self._marginal.slopes(state)
        return state | {"loadings": self._correlation.factors(total, noise_sd, slopes, state)}

    def sample(
        self, state: State, counts: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Generator`; counts are whole."""
        marginals = self._marginal.marginals(state)
        loadings = state.get("loadings", np.zeros((self.schema.n_genes, 0)))
        classes = np.repeat(np.arange(self.schema.n_classes), counts)
        scores = deviations(loadings, classes, rng)
        values = [marginals.values(scores[classes == c], c) for c in range(self.schema.n_classes)]
        return np.concatenate(values), classes
