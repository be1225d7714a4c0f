"""Noised marginals of each class, tied by a conditional VAE that is trained by federated DP-SGD.

Releases: those of :mod:`common.synthesis.marginal_releases`, then the steps of
:mod:`common.synthesis.private_steps`, on normal scores of the released marginals.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from common.synthesis.contributions import Pairs, pairs_of
from common.synthesis.generator import Generator, Stage, State
from common.synthesis.marginal_options import MarginalOptions
from common.synthesis.marginal_releases import MarginalReleases
from common.synthesis.options import options_of
from common.synthesis.private_steps import OF_STEPS, PrivateSteps
from common.synthesis.records import Records
from common.synthesis.registry import register_generator
from common.synthesis.schema import Schema
from common.synthesis.score_correlation import matched
from common.synthesis.score_vae import Shape

MOST_KEPT = 0.9  # of a gene's variance that z may explain
# Draws of z that tell each gene's decoded mean and variance, from a fixed seed: no data is in them.
DRAWS, DRAWS_SEED = 2048, 0


class CvaeOptions(MarginalOptions):
    """``steps-share`` is of mu^2; ``steps`` of 0: 40 with noise, 100 without."""

    steps: int = Field(0, ge=0, le=1000)
    steps_share: float = Field(0.3, gt=0, le=0.9)
    learning_rate: float = Field(2.0, ge=1e-6, le=1000)
    latent: int = Field(8, ge=1, le=64)
    hidden: int = Field(16, ge=2, le=256)


@register_generator("cvae")
class Cvae(Generator):
    """See the module."""

    name = "cvae"

    def __init__(
        self,
        schema: Schema,
        epsilon: float,
        delta: float,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__(schema, epsilon, delta, options)
        own = options_of(CvaeOptions, self.name, options)
        self._marginal = MarginalReleases(schema, epsilon, 1 - own.steps_share, own)
        shape = Shape(schema.n_genes, schema.n_classes, own.latent, own.hidden)
        n_steps = own.steps or (40 if math.isfinite(epsilon) else 100)
        # Records, the state that their scores are by, and these.
        self._kept: tuple[Any, State, Any] = (None, {}, None)
        self._steps = PrivateSteps(shape, n_steps, own.steps_share, own.learning_rate)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Marginals, then steps."""
        return (*self._marginal.stages, *self._steps.stages)

    def statistics(self, stage: Stage, records: Records, state: State) -> np.ndarray:
        """See :class:`Generator`."""
        if not stage.name.startswith("step_"):
            return self._marginal.statistics(stage, pairs_of(records, self.schema), state)
        return self._steps.statistics(stage, *self._scored(records, state), state)

    def take(self, stage: Stage, total: np.ndarray, noise_sd: float, state: State) -> State:
        """See :class:`Generator`."""
        if not stage.name.startswith("step_"):
            return self._marginal.take(stage, total, noise_sd, state)
        return self._steps.take(total, noise_sd, state)

    def _scored(self, records: Records, state: State) -> tuple[Pairs, np.ndarray]:
        """The records and their scores: made once for all steps of the same ones."""
        # Steps do not touch these; they are the marginals'.
        told = {k: v for k, v in state.items() if k not in OF_STEPS}
        kept_records, kept_state, kept = self._kept
        same = kept_records is records and kept_state.keys() == told.keys()
        if not (same and all(kept_state[key] is told[key] for key in told)):
            pairs = pairs_of(records, self.schema)
            kept = pairs, self._marginal.scores(pairs, state)
            self._kept = records, told, kept
        return kept

    def sample(
        self, state: State, counts: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Generator`; counts are whole."""
        marginals, network = self._marginal.marginals(state), self._steps.network(state)
        values = []
        for c, n in enumerate(counts):
            known = network.drawn(c, DRAWS, np.random.default_rng(DRAWS_SEED))
            slopes, mean, power = marginals.slopes(c), known.mean(axis=0), known.var(axis=0)
            # A score is only a part of the Gaussian that it stands for.
            power = power / slopes**2
            kept = np.minimum(power, MOST_KEPT)
            scale = np.sqrt(kept / np.maximum(power, 1e-300)) / slopes
            common = (network.drawn(c, int(n), rng) - mean) * scale
            own = np.sqrt(1 - kept) * rng.standard_normal(common.shape)
            values.append(marginals.values(matched(common + own), c))
        return np.concatenate(values), np.repeat(np.arange(self.schema.n_classes), counts)
