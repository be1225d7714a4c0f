"""Whole runs of a generator on two neighbours, as an attacker sees them who knows all but one.

Not of a cohort but of the mechanism: what it may give away of the worst unit.
"""

import math
from collections.abc import Sequence

import numpy as np

from common.errors import ConfigError
from common.synthesis.audit.watched import Watched
from common.synthesis.generator import Generator, Stage, State
from common.synthesis.pooled import fit_pooled
from common.synthesis.records import Records


def privacy_losses(
    generator: Generator, others: Sequence[Records], unit: Records, *, within: bool, n_runs: int
) -> np.ndarray:
    """The log-likelihood ratio of "with" against "without" of every run, (n_runs,).

    Sum over stages of (<d, T - S> - |d|^2 / 2) / w: d what the unit adds, S what the others add,
    each as the state of that run makes it, T the released sum and w its noise's variance. No
    statistic of Gaussian noise tells more.

    Parameters
    ----------
    generator
        With noise.
    others
        Whole units.
    unit
        The one that is there or not.
    within
        Whether it is.

    Raises
    ------
    ConfigError
        The generator adds no noise.
    """
    if math.isinf(generator.epsilon):
        raise ConfigError("epsilon is infinite: without noise there is no epsilon to bound")
    chunks = [*others, unit] if within else list(others)
    losses = np.zeros(n_runs)
    # What does not depend on a state is the same in every run.
    first = [added(generator, generator.stages[0], units, {}) for units in ([unit], others)]
    for run in range(n_runs):
        watched = Watched(generator)
        fit_pooled(watched, chunks)
        for release in watched.releases:
            d, of_others = (
                [added(generator, release.stage, x, release.before) for x in ([unit], others)]
                if release.before
                else first
            )
            gap = release.total - of_others
            losses[run] += (d * (gap - d / 2)).sum() / release.noise_sd**2
    return losses


def added(
    generator: Generator, stage: Stage, chunks: Sequence[Records], state: State
) -> np.ndarray:
    """What these units add to a stage, float64 (n_values,)."""
    total = np.zeros(stage.n_values, dtype=np.int64)
    for records in chunks:
        total += generator.statistics(stage, records, state)
    return total.astype(np.float64)
