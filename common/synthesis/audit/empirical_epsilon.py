"""The epsilon that runs of a mechanism prove it to have at least."""

import math

import numpy as np
from scipy.stats import beta

CONFIDENCE = 1 - 1e-6


def proven_epsilon(
    n_with: int, n_without: int, n_runs: int, delta: float, alpha: float = 1 - CONFIDENCE
) -> float:
    """A lower bound of epsilon from how often an attacker said "with".

    P(said | with) <= exp(epsilon) P(said | without) + delta must hold.

    Parameters
    ----------
    n_with, n_without
        How often it was said with the unit, and without.
    n_runs
        Of each.
    delta
        Claimed.
    alpha
        Chance that the bound is too high; half of it for each of Clopper's and Pearson's bounds.

    References
    ----------
    Clopper, Pearson 1934, doi:10.1093/biomet/26.4.404; Jagielski, Ullman, Oprea 2020,
    arXiv:2006.07709.
    """
    least = beta.ppf(alpha / 2, n_with, n_runs - n_with + 1) if n_with else 0.0
    most = beta.ppf(1 - alpha / 2, n_without + 1, n_runs - n_without) if n_without < n_runs else 1.0
    return math.log(max(least - delta, 1e-300) / most)


def audited_epsilon(
    with_it: np.ndarray, without: np.ndarray, delta: float, alpha: float = 1 - CONFIDENCE
) -> float:
    """The same from scores of runs, higher where the unit seems in: (n_runs,) each.

    The first half of the runs chooses the threshold and the side, the second half alone is counted.
    """
    n = min(len(with_it), len(without)) // 2
    pilot, counted = ((with_it[:n], without[:n]), (with_it[n : 2 * n], without[n : 2 * n]))
    thresholds = np.quantile(np.concatenate(pilot), np.linspace(0.005, 0.995, 100))

    def proven(pair: tuple[np.ndarray, np.ndarray], threshold: float, above: bool) -> float:
        a, b = (int((scores > threshold).sum()) for scores in pair)
        return proven_epsilon(*((a, b) if above else (n - b, n - a)), n, delta, alpha)

    best = max(
        ((t, above) for t in thresholds.tolist() for above in (True, False)),
        key=lambda choice: proven(pilot, *choice),
    )
    return proven(counted, *best)
