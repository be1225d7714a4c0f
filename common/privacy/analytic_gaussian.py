"""The Gaussian mechanism's exact (epsilon, delta), in floating point.

``mu`` is the sensitivity (L2) over the noise's standard deviation; mechanisms with mu_1, mu_2, ...
compose to one with sqrt(mu_1^2 + mu_2^2 + ...), exactly.

References
----------
Balle, Wang 2018, arXiv:1805.06530, Theorem 8; Dong, Roth, Su 2019, arXiv:1905.02383, Corollary 3.3.
"""

import math

from scipy.optimize import brentq
from scipy.special import log_ndtr

from common.errors import ConfigError

LARGEST_EPSILON = 100.0
LEAST_DELTA = 1e-15
# What integers cost is taken off a stated delta (``integer_gaussian``): less than this of it.
ROOM = 1e-4
# What is solved for is moved to the private side by this share, above any rounding.
MARGIN = 1e-9


def log_delta(mu: float, epsilon: float) -> float:
    """The logarithm of the smallest delta at ``epsilon`` >= 0; -inf below floating point."""
    first = log_ndtr(mu / 2 - epsilon / mu)
    second = epsilon + log_ndtr(-mu / 2 - epsilon / mu)
    return first + math.log(-math.expm1(second - first)) if second < first else -math.inf


def delta_at(mu: float, epsilon: float) -> float:
    """The smallest delta at ``epsilon`` >= 0."""
    return math.exp(log_delta(mu, epsilon)) if mu else 0.0


def epsilon_at(mu: float, delta: float) -> float:
    """The smallest epsilon at ``delta``, rounded up by no more than 1e-9 of it.

    Returns
    -------
    0 if delta is reached without any; infinity for an infinite ``mu``.
    """
    check_delta(delta)
    if not mu:
        return 0.0
    if math.isinf(mu):
        return math.inf
    goal = math.log(delta)
    if log_delta(mu, 0) <= goal:
        return 0.0
    high = 1.0
    while log_delta(mu, high) > goal:
        high *= 2
    root = brentq(lambda e: max(log_delta(mu, e), -1e6) - goal, 0, high, xtol=1e-13, rtol=1e-13)
    return root * (1 + MARGIN) + 1e-12


def mu_for(epsilon: float, delta: float) -> float:
    """The largest mu that is (``epsilon``, ``delta``)-private, rounded down.

    Raises
    ------
    ConfigError
        Epsilon is not of (0, 100] or delta not of [1e-15, 1e-2].
    """
    check_epsilon(epsilon)
    check_delta(delta)
    goal = math.log(delta)
    low, high = 1e-9, 1.0
    while log_delta(high, epsilon) < goal:
        high *= 2
    root = brentq(lambda m: max(log_delta(m, epsilon), -1e6) - goal, low, high, xtol=1e-14)
    # Epsilon, found again from it, is rounded up, too.
    root *= 1 - MARGIN
    while epsilon_at(root, delta) > epsilon:
        root *= 1 - 2 * MARGIN
    return root


def sigma_for(epsilon: float, delta: float, l2: float) -> float:
    """The least standard deviation for an L2 sensitivity, rounded up.

    Raises
    ------
    ConfigError
        As of :func:`mu_for`; or the sensitivity is not positive.
    """
    if not 0 < l2 < math.inf:
        raise ConfigError(f"an L2 sensitivity of {l2} must be a positive number")
    return l2 / mu_for(epsilon, delta)


def check_epsilon(epsilon: float) -> None:
    """Refuse what is no epsilon, or none that protects.

    Raises
    ------
    ConfigError
        It is not of (0, 100].
    """
    if not 0 < epsilon <= LARGEST_EPSILON:
        raise ConfigError(
            f"epsilon = {epsilon} must be above 0 and at most {LARGEST_EPSILON:g}; usual are 0.5 "
            "to 10"
        )


def check_delta(delta: float) -> None:
    """Refuse what is no delta, or none that protects.

    Raises
    ------
    ConfigError
        It is not of [1e-15, 1e-2].
    """
    if not LEAST_DELTA * (1 - ROOM) <= delta <= 1e-2:
        raise ConfigError(
            f"delta = {delta} must be of 1e-15 ... 0.01: well below 1 over the number of protected "
            "units"
        )
