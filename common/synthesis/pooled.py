"""A generator fitted to pooled records with a trusted centre's noise: what sites are held to."""

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from common.errors import ConfigError
from common.privacy.analytic_gaussian import check_epsilon, mu_for
from common.privacy.discrete_gaussian import LARGEST_VARIANCE, discrete_gaussian
from common.privacy.integer_gaussian import LARGEST_RATIO, ROUNDING
from common.synthesis.generator import Generator, Stage, State
from common.synthesis.records import Records

# Room for what is added to a variance.
LARGEST_SIGMA = math.sqrt(LARGEST_VARIANCE) * (1 - 1e-9)


def mu_of_run(epsilon: float, delta: float) -> float:
    """Sensitivity over noise of a whole run, with room for what integers cost in all its stages.

    Raises
    ------
    ConfigError
        Epsilon or delta is absurd.
    """
    check_epsilon(epsilon)
    spared = epsilon - 2 * LARGEST_RATIO
    if spared <= 0:
        raise ConfigError(f"epsilon = {epsilon} is below what integer noise can state, 2e-6")
    return mu_for(spared, delta * math.exp(-LARGEST_RATIO))


def variance_of(stage: Stage, mu: float) -> Fraction:
    """Variance of a stage's noise in grid steps squared, of a run with ``mu`` in all.

    Raises
    ------
    ConfigError
        No such noise can be drawn.
    """
    squared = stage.share * mu**2
    # By sigma: l2 or the share may be such that a square overflows.
    sigma = stage.l2 / math.sqrt(squared) if squared > 0 else math.inf
    if not 0 < sigma < LARGEST_SIGMA:
        message = (
            f"release {stage.name} with {stage.share:.3g} of the privacy needs noise of standard "
            f"deviation {sigma:.3g} grid steps, and less than 2^40 can be drawn: give it a larger "
            "share among generator-options, or raise epsilon"
        )
        raise ConfigError(message, public=message)
    return Fraction(math.ceil(stage.l2**2 / (stage.share * mu**2)) + ROUNDING)


def fit_pooled(generator: Generator, chunks: Iterable[Records]) -> State:
    """The state after all stages; ``chunks`` are whole units, gone through once a stage."""
    chunks, state = list(chunks), {}
    noiseless = math.isinf(generator.epsilon)
    mu = 0.0 if noiseless else mu_of_run(generator.epsilon, generator.delta)
    for stage in generator.stages:
        total = np.zeros(stage.n_values, dtype=np.int64)
        for records in chunks:
            total += generator.statistics(stage, records, state)
        sd = 0.0
        if not noiseless:
            variance = variance_of(stage, mu)
            total += discrete_gaussian(variance, stage.n_values)
            sd = math.sqrt(variance)
        state = generator.take(stage, total.astype(np.float64), sd, state)
    return state
