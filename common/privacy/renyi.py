"""Renyi differential privacy of integer noise, and its (epsilon, delta), in floating point.

References
----------
Mironov 2017, arXiv:1702.07476; Canonne, Kamath, Steinke 2020, arXiv:2004.00010, Proposition 12
(conversion); Kairouz, Liu, Steinke 2021, arXiv:2102.06387, Theorem 1 and Proposition 14 (sums of
discrete Gaussians); Agarwal, Kairouz, Liu 2021, arXiv:2110.04995, Corollary 3.6 (Skellam).
"""

import math

import numpy as np

# Whole orders only: the bound of Skellam noise is proven for these.
ORDERS = np.unique(
    np.concatenate([np.arange(2, 257), np.geomspace(257, 100_000, 200).astype(int)])
).astype(float)


def tau(sigma_of_share: float, n_shares: int) -> float:
    """How far a sum of discrete Gaussians is from a discrete Gaussian, per coordinate.

    Parameters
    ----------
    sigma_of_share
        Of each share, in grid steps.
    n_shares
        How many are added.

    Returns
    -------
    10 sum_{k=1}^{n-1} exp(-2 pi^2 sigma^2 k / (k + 1)): for the two neighbours together, a bound
    of the logarithm of the ratio of the two probabilities of a value.
    """
    k = np.arange(1, n_shares)
    return float(10 * np.exp(-2 * np.pi**2 * sigma_of_share**2 * k / (k + 1)).sum())


def discrete_gaussians(
    l1: float, l2: float, n_values: int, sigma_of_share: float, n_shares: int
) -> np.ndarray:
    """RDP at ORDERS of a sum of discrete Gaussian shares.

    Parameters
    ----------
    l1, l2
        Sensitivities in grid steps.
    n_values
        Of the vector.
    sigma_of_share, n_shares
        As of :func:`tau`.
    """
    sigma, far = sigma_of_share * math.sqrt(n_shares), tau(sigma_of_share, n_shares)
    far_all = far**2 * n_values
    return np.minimum.reduce(
        [
            ORDERS / 2 * (l2 / sigma) ** 2 + far * n_values,
            ORDERS / 2 * ((l2 / sigma) ** 2 + 2 * l1 / sigma * far + far_all),
            ORDERS / 2 * (l2 / sigma + math.sqrt(far_all)) ** 2,
        ]
    )


def skellam(l1: float, l2: float, variance: float) -> np.ndarray:
    """RDP at ORDERS of Skellam noise of a total variance on whole numbers.

    Parameters
    ----------
    l1, l2
        Sensitivities in grid steps.
    variance
        Of the sum of all shares.
    """
    more = np.minimum(
        ((2 * ORDERS - 1) * l2**2 + 6 * l1) / (4 * variance**2), 3 * l1 / (2 * variance)
    )
    return ORDERS * l2**2 / (2 * variance) + more


def epsilon_of(rdp: np.ndarray, delta: float) -> float:
    """Epsilon at ``delta`` > 0 of a curve over ORDERS."""
    epsilons = rdp + np.log1p(-1 / ORDERS) - (np.log(delta) + np.log(ORDERS)) / (ORDERS - 1)
    return float(max(epsilons.min(), 0.0))


def l1_of(l2: float, n_values: int) -> float:
    """The largest L1 norm of a whole-number vector of an L2 norm: min(sqrt(d) l2, l2^2)."""
    return min(math.sqrt(n_values) * l2, l2**2)
