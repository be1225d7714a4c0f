"""The epsilon of several releases from the same units, at one delta.

- Gaussian noise on everybody: the closed form, tight.
- With subsampled Gaussian or (epsilon, delta) spends: privacy loss distributions, discretised so
  that the result is an upper bound (Koskela et al. 2020; Doroshenko et al. 2022, by dp-accounting).
- With Skellam noise, whose bound is a Renyi one: Renyi orders for all.

What integers cost (``integer_gaussian``) is added up: a ratio c of all together makes delta
exp(c) and epsilon 2 c larger.
"""

import math
from collections.abc import Sequence

import numpy as np

from common.errors import ConfigError
from common.privacy import renyi
from common.privacy.analytic_gaussian import (
    LARGEST_EPSILON,
    check_delta,
    check_epsilon,
    epsilon_at,
)
from common.privacy.integer_gaussian import LARGEST_RATIO
from common.privacy.spends import GaussianSpend, PureSpend, SkellamSpend, Spend

LARGEST_MU = 10.0  # epsilon 91.8 at delta 1e-5: beyond, no privacy is stated
SAMPLED_ORDERS = 256  # sampled Gaussians' Renyi orders: the larger ones take minutes
GRID = 1e-4  # of the privacy loss


def greatest_epsilon(delta: float) -> float:
    """Beyond it none is stated: one unit moves sums by ``LARGEST_MU`` of the noise's deviations.

    Raises
    ------
    ConfigError
        Delta is absurd.
    """
    return min(epsilon_at(LARGEST_MU, delta), LARGEST_EPSILON)


def check_stated(epsilon: float, delta: float) -> None:
    """Refuse an epsilon that no releases with integer noise can be told to keep to.

    Raises
    ------
    ConfigError
        Epsilon or delta is absurd; or epsilon is so small that what integers cost is all of it, or
        above the greatest.
    """
    check_epsilon(epsilon)
    check_delta(delta)
    least, greatest = 2 * LARGEST_RATIO, greatest_epsilon(delta)
    if epsilon > greatest:
        raise ConfigError(
            f"epsilon = {epsilon:g} at delta = {delta:g}: the greatest that can be stated is "
            f"{math.floor(10 * greatest) / 10:g}, where one unit moves the sums by {LARGEST_MU:g} "
            "standard deviations of their noise and is hardly hidden any more; usual are 0.5 to 10"
        )
    if epsilon <= least:
        raise ConfigError(
            f"epsilon = {epsilon:g}: it must be above {least:g}, which noise in whole numbers may "
            "cost by itself; usual are 0.5 to 10"
        )


def composed_epsilon(spends: Sequence[Spend], delta: float) -> float:
    """Epsilon at ``delta`` of all spends together.

    What is released may depend on earlier results, the spends themselves must not.

    Returns
    -------
    An upper bound; 0 of none; infinity where it would be above 100 or so.

    Raises
    ------
    ConfigError
        Delta is absurd.
    """
    check_delta(delta)
    if not spends:
        return 0.0
    gaussians = [spend for spend in spends if isinstance(spend, GaussianSpend)]
    pure = [spend for spend in spends if isinstance(spend, PureSpend)]
    skellams = [spend for spend in spends if isinstance(spend, SkellamSpend)]
    # One that is no privacy alone, before its square overflows.
    if (
        any(s.mu > LARGEST_MU for s in gaussians)
        or any(s.epsilon > LARGEST_EPSILON for s in pure)
        or any(s.l2 > LARGEST_MU * math.sqrt(s.variance) for s in skellams)
    ):
        return math.inf
    full = math.sqrt(sum(s.times * s.mu**2 for s in gaussians if s.sampling == 1))
    if full > LARGEST_MU:
        return math.inf
    far = sum(s.times * s.ratio for s in gaussians)
    if far > LARGEST_EPSILON:
        return math.inf
    remaining = delta * math.exp(-far)
    sampled = [spend for spend in gaussians if spend.sampling < 1]
    if len(gaussians) == len(spends) and not sampled:
        return epsilon_at(full, remaining) + 2 * far
    rough = _by_renyi(full, sampled, spends, remaining)
    # An upper bound, too, and quick: losses this large would take the grid minutes.
    if rough > LARGEST_EPSILON:
        return math.inf
    if skellams:
        return rough + 2 * far
    return _by_losses(full, sampled, pure, remaining) + 2 * far


def _by_losses(
    full: float, sampled: list[GaussianSpend], pure: list[PureSpend], delta: float
) -> float:
    # A second and a half to import: only for what has no closed form.
    from dp_accounting.pld import common, privacy_loss_distribution

    loss = privacy_loss_distribution.identity(value_discretization_interval=GRID)
    if full:
        loss = loss.compose(
            privacy_loss_distribution.from_gaussian_mechanism(
                1 / full, value_discretization_interval=GRID
            )
        )
    for spend in sampled:
        one = privacy_loss_distribution.from_gaussian_mechanism(
            1 / spend.mu, value_discretization_interval=GRID, sampling_prob=spend.sampling
        )
        loss = loss.compose(one.self_compose(spend.times))
    for spend in pure:
        one = privacy_loss_distribution.from_privacy_parameters(
            common.DifferentialPrivacyParameters(spend.epsilon, spend.delta),
            value_discretization_interval=GRID,
        )
        loss = loss.compose(one.self_compose(spend.times))
    return float(max(loss.get_epsilon_for_delta(delta), 0.0))


def _by_renyi(
    full: float, sampled: list[GaussianSpend], spends: Sequence[Spend], delta: float
) -> float:
    rdp = renyi.ORDERS / 2 * full**2
    for spend in spends:
        if isinstance(spend, SkellamSpend):
            rdp = rdp + spend.times * renyi.skellam(spend.l1, spend.l2, spend.variance)
        elif isinstance(spend, PureSpend):
            # Bun, Steinke 2016, Proposition 3.3; delta is paid apart.
            curve = np.minimum(renyi.ORDERS * spend.epsilon**2 / 2, spend.epsilon)
            rdp, delta = rdp + spend.times * curve, delta - spend.times * spend.delta
    if delta <= 0:
        return math.inf
    if sampled:
        import dp_accounting
        from dp_accounting.rdp import rdp_privacy_accountant

        few = renyi.ORDERS <= SAMPLED_ORDERS
        accountant = rdp_privacy_accountant.RdpAccountant(renyi.ORDERS[few])
        for spend in sampled:
            step = dp_accounting.GaussianDpEvent(1 / spend.mu)
            event = dp_accounting.PoissonSampledDpEvent(spend.sampling, step)
            accountant.compose(event, spend.times)
        rdp[few] += accountant.rdp
        rdp[~few] = np.inf
    return renyi.epsilon_of(rdp, delta)
