"""What a stage's noise is and what it costs, from public settings and the number of sites alone.

Nothing here is taken from a message: a site computes it from its own copy of the run's settings,
and so does the coordinator.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.errors import ConfigError
from common.privacy.composition import composed_epsilon
from common.privacy.distributed_noise import SharedNoise
from common.privacy.spends import GaussianSpend
from common.synthesis.generator import Generator, Stage
from common.synthesis.pooled import mu_of_run, variance_of
from common.wire_synthesis import MAX_NOISED

if TYPE_CHECKING:
    from common.config import RunConfig

# Standard deviations of one share that a value may lie beyond its bound: never in practice.
TAIL = 16


def noise_of(config: "RunConfig", stage: Stage, n_sites: int) -> SharedNoise:
    """How a stage's noise is shared among the sites that begin its sum.

    Raises
    ------
    ConfigError
        No honest site would be left, or statistics and noise do not fit the sum.
    """
    variance = variance_of(stage, mu_of_run(config.epsilon, config.delta))
    lost, colluding = config.noise_lost, config.noise_colluding
    noise = SharedNoise(variance, n_sites, lost, colluding, stage.n_values, stage.l2)
    largest = stage.bound + TAIL * math.sqrt(noise.share)
    if largest > MAX_NOISED:
        raise ConfigError(
            f"release {stage.name}: numbers up to {largest:.3g} grid steps do not fit a sum, at "
            f"most {MAX_NOISED:.3g}: use a coarser grid, or a larger epsilon"
        )
    return noise


def require_possible(config: "RunConfig", generator: Generator, n_sites: int) -> None:
    """Refuse a run one of whose stages could not be made, before any is paid.

    Raises
    ------
    ConfigError
        A sensitivity is no number, noise cannot be drawn or is none, or a sum may overflow.
    """
    for stage in generator.stages:
        if not 0 < stage.l2 <= stage.bound <= MAX_NOISED:
            message = (
                f"release {stage.name}: a sensitivity of {stage.l2:.3g} and numbers up to "
                f"{stage.bound:.3g} grid steps do not fit a sum, at most {MAX_NOISED:.3g}: an "
                "option of the generator is wrong"
            )
            raise ConfigError(message, public=message)
        if config.private:
            noise_of(config, stage, n_sites)


def spend_of(noise: SharedNoise, survivors: int, colluding: int = 0) -> GaussianSpend:
    """What a stage costs against whoever pools ``colluding`` sites' knowledge."""
    return GaussianSpend(mu=noise.mu(survivors, colluding), ratio=noise.ratio(survivors, colluding))


def stated_spend(noise: SharedNoise) -> GaussianSpend:
    """What a stage costs at the worst that its noise is shared for: what a site pays."""
    return spend_of(noise, noise.n_sites - noise.lost, noise.colluding)


def whole_spend(config: "RunConfig") -> GaussianSpend:
    """No less than all stages of a run together, before these are known."""
    return GaussianSpend(mu=mu_of_run(config.epsilon, config.delta))


def epsilon_against(
    releases: Sequence[tuple[SharedNoise, int]], delta: float, colluding: int
) -> float:
    """Epsilon of a run's releases for outsiders (0), or against so many colluding sites.

    Parameters
    ----------
    releases
        Each stage's noise, and how many sites' parts the opened sum holds.

    Returns
    -------
    Infinity where their own noise apart too little is left to state one.
    """
    try:
        spends = [spend_of(noise, survivors, colluding) for noise, survivors in releases]
    except ConfigError:
        return math.inf
    return composed_epsilon(spends, delta)
