"""The attack that knows the generator: is this unit in the sums that were released?

It holds for every generator, since it asks the generator itself what a unit adds to each sum.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from common.synthesis.audit.units import each_unit, halves
from common.synthesis.audit.watched import Release
from common.synthesis.generator import Generator
from common.synthesis.records import Records


def tracing_scores(
    generator: Generator,
    releases: Sequence[Release],
    members: Records,
    others: Records,
    *,
    whole: bool = True,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood ratio of all released sums, with the unit in them against without.

    With s what the unit adds, T the sum, n units in it, m and v mean and variance of what units of
    the population add, w the noise's variance: sum over values of
    ((s - m) (T - n m) - (s - m)^2 / 2) / (w + n v (1 + n / k)). The attacker knows n, and m and v
    from half of the other units, k of them; those judged are never in the half that judges them.

    Parameters
    ----------
    generator
        That was run.
    releases
        What it was given, see :class:`~common.synthesis.audit.watched.Watched`.
    members, others
        Units in the sums, and units of the same population that are not; four at least.
    whole
        ``members`` are all that are in the sums; else how many there are is told from each sum, by
        least squares.
    seed
        Of the halves.

    Returns
    -------
    Scores of the members' and of the others' units, (n_units,) each: higher is likelier in.

    References
    ----------
    Homer et al. 2008, doi:10.1371/journal.pgen.1000167; Sankararaman et al. 2009,
    doi:10.1038/ng.436; Dwork, Smith, Steinke, Ullman, Vadhan 2015, doi:10.1109/FOCS.2015.46.
    """
    inside, outside = list(each_unit(members)), list(each_unit(others))
    half_inside, half_outside = halves(len(inside), seed), halves(len(outside), seed + 1)
    scores = np.zeros(len(inside)), np.zeros(len(outside))
    for release in releases:

        def added(unit: Records, release: Release = release) -> np.ndarray:
            found = generator.statistics(release.stage, unit, release.before)
            return found.astype(np.float64)

        for half in (0, 1):
            reference = [unit for unit, h in zip(outside, half_outside, strict=True) if h != half]
            mean, variance = _moments(map(added, reference))
            n = len(inside) if whole else _n_units(release, mean, variance)
            gap = release.total - n * mean
            spread = n * (1 + n / len(reference)) * variance
            # A grid step's worth: with neither noise nor spread a value would decide alone.
            weight = 1 / (release.noise_sd**2 + spread + 1)
            for found, units, of in (
                (scores[0], inside, half_inside),
                (scores[1], outside, half_outside),
            ):
                for at in np.flatnonzero(of == half):
                    shift = added(units[at]) - mean
                    found[at] += (weight * shift * (gap - shift / 2)).sum()
    return scores


def _n_units(release: Release, mean: np.ndarray, variance: np.ndarray) -> float:
    """How many units a sum holds, of its expectation n m."""
    weight = mean / (release.noise_sd**2 + variance + 1)
    most = float((weight * mean).sum())
    return max(1.0, float((weight * release.total).sum()) / most) if most else 1.0


def _moments(added: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each value; a variance is drawn to the mean one by one unit's worth.

    A value that no unit of a small reference has would otherwise decide alone. One after the other
    (Welford 1962): a generator may have half a million values.
    """
    mean, squares, n = 0.0, 0.0, 0
    for one in added:
        n += 1
        step = one - mean
        mean = mean + step / n
        squares = squares + step * (one - mean)
    variance = squares / max(n - 1, 1)
    return mean, (n * variance + variance.mean()) / (n + 1)
