"""The attack that knows the generator: is this unit in the sums that were released?

It holds for every generator, since it asks the generator itself what a unit adds to each sum.
"""

from collections.abc import Sequence

import numpy as np

from common.synthesis.audit.spread import Spread
from common.synthesis.audit.units import each_unit, halves
from common.synthesis.audit.watched import Release
from common.synthesis.generator import Generator
from common.synthesis.records import Records

# Units at once: half a million values each.
_BLOCK = 16


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

    With s what the unit adds, T the sum, n units in it, m and C mean and covariance of what units
    of the population add, w the noise's variance: s' V^-1 (T - n m - s / 2), s less m and
    V = w + n C (1 + n / k). The attacker knows n, and m and C from half of the other units, k of
    them; those judged are never in the half that judges them.

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
            spread = Spread.of(map(added, reference))
            w = release.noise_sd**2
            n = len(inside) if whole else spread.n_in(release.total, w)
            inverse = spread.inverse(w, n * (1 + n / len(reference)))
            pull = inverse.times((release.total - n * spread.mean)[None])[0]
            for found, units, of in (
                (scores[0], inside, half_inside),
                (scores[1], outside, half_outside),
            ):
                judged = np.flatnonzero(of == half)
                for first in range(0, len(judged), _BLOCK):
                    some = judged[first : first + _BLOCK]
                    s = np.stack([added(units[at]) for at in some]) - spread.mean
                    found[some] += s @ pull - inverse.squares(s) / 2
    return scores
