"""What a sum of discrete Gaussian shares costs, by the Gaussian mechanism's own exact curve.

The discrete Gaussian's (epsilon, delta) is not that of the Gaussian: for a shift along one axis it
is a little larger or smaller. But it is almost what a Gaussian mechanism with 2 less of variance
gives when each value is rounded at random, to z with probability proportional to
exp(-(z - y)^2 / 4), and rounding cannot cost privacy. By Poisson's summation formula the
probability of a vector of d values under the one and the other differ by a factor of at most
exp(d (r + tau / 2)): r for the rounding, tau / 2 for shares being added (Kairouz et al.). With a
factor exp(c) for each neighbour,

    delta(epsilon) <= exp(c) delta_Gaussian(epsilon - 2 c),    c = d (r + tau / 2).

c is 5e-17 a value, or 1e-11 for the largest releases, if each share has sigma >= 2.

References
----------
Peikert 2010, doi:10.1007/978-3-642-14623-7_5, Theorem 3.1 (convolution of discrete Gaussians);
Kairouz, Liu, Steinke 2021, arXiv:2102.06387, Theorem 8.
"""

import math
from fractions import Fraction

from common.errors import ConfigError
from common.privacy.analytic_gaussian import check_delta, check_epsilon, epsilon_at, mu_for
from common.privacy.renyi import tau

ROUNDING = 2  # variance of the random rounding, in grid steps squared
# log((1 + k) (1 + k') / (1 - k)) with k = 2 sum exp(-2 pi^2 2 j^2), k' smaller still.
ROUNDING_RATIO = 6 * math.exp(-2 * math.pi**2 * ROUNDING) * 1.001
LARGEST_RATIO = 1e-6  # of all values together, in units of epsilon


def ratio(variance_of_share: Fraction, n_shares: int, n_values: int) -> float:
    """c: how far the logarithm of a vector's probability is from the rounded Gaussian's."""
    share = tau(math.sqrt(variance_of_share), n_shares) / 2
    return n_values * (ROUNDING_RATIO + share)


def mu_of(variance_of_share: Fraction, n_shares: int, n_values: int, l2: float) -> float:
    """L2 sensitivity over standard deviation of the Gaussian mechanism that stands for a sum.

    Parameters
    ----------
    variance_of_share
        sigma^2 of each share, in grid steps squared.
    n_shares
        How many are added.
    n_values
        Of the vector.
    l2
        Sensitivity in grid steps.

    Raises
    ------
    ConfigError
        The noise is too small against the grid: no bound of use.
    """
    variance = variance_of_share * n_shares
    far = ratio(variance_of_share, n_shares, n_values)
    if variance <= ROUNDING or far > LARGEST_RATIO:
        raise ConfigError(
            f"{n_shares} shares of variance {float(variance_of_share):.3g} grid steps squared are "
            f"too little noise for the grid; at least 4 each is needed: use a finer grid"
        )
    return l2 / math.sqrt(variance - ROUNDING)


def epsilon_of(
    variance_of_share: Fraction, n_shares: int, n_values: int, l2: float, delta: float
) -> float:
    """Epsilon at ``delta`` of a sum of discrete Gaussian shares.

    Raises
    ------
    ConfigError
        As of :func:`mu_of`; or delta is none.
    """
    check_delta(delta)
    mu = mu_of(variance_of_share, n_shares, n_values, l2)
    far = ratio(variance_of_share, n_shares, n_values)
    return epsilon_at(mu, delta * math.exp(-far)) + 2 * far


def variance_for(epsilon: float, delta: float, l2: float) -> Fraction:
    """The whole sum's variance for an L2 sensitivity in grid steps, rounded up to a whole number.

    It leaves room for c up to 1e-6.

    Raises
    ------
    ConfigError
        Epsilon or delta is absurd, or the sensitivity is not positive.
    """
    check_epsilon(epsilon)
    check_delta(delta)
    if not 0 < l2 < math.inf:
        raise ConfigError(f"an L2 sensitivity of {l2} must be a positive number")
    spared = epsilon - 2 * LARGEST_RATIO
    if spared <= 0:
        raise ConfigError(f"epsilon = {epsilon} is below what integer noise can state, 2e-6")
    mu = mu_for(spared, delta * math.exp(-LARGEST_RATIO))
    return Fraction(math.ceil((l2 / mu) ** 2) + ROUNDING)
