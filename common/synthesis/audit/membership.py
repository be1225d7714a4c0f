"""How well an attack's scores tell members from others, with confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
N_RESAMPLES = 1000
FALSE_POSITIVE_RATES = (0.01, 0.1)


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval at 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Membership:
    """What an attack finds out.

    Parameters
    ----------
    auc
        Chance that a member scores higher than an other, ties by half; 0.5: it finds nothing.
    tpr
        Share of members found at a false positive rate of at most 1 % and 10 %.
    n_members, n_others
        Units that were scored.
    false_positive, true_positive
        The ROC curve: rates from 0 to 1.
    """

    auc: Interval
    tpr: dict[float, Interval]
    n_members: int
    n_others: int
    false_positive: np.ndarray
    true_positive: np.ndarray


def membership(members: np.ndarray, others: np.ndarray, *, seed: int = 0) -> Membership:
    """Judge an attack by its scores; a higher one says "member".

    Parameters
    ----------
    members, others
        Scores of units that the cohort was made from, and of units that it was not, (n,) and (m,),
        two at least each.
    seed
        Of the bootstrap.
    """
    from sklearn.metrics import roc_curve

    truth = np.repeat([1, 0], [len(members), len(others)])
    false, true, _ = roc_curve(truth, np.concatenate([members, others]))
    return Membership(
        auc(members, others),
        {rate: _tpr(members, others, rate, seed) for rate in FALSE_POSITIVE_RATES},
        len(members),
        len(others),
        false,
        true,
    )


def auc(members: np.ndarray, others: np.ndarray) -> Interval:
    """The area under the ROC curve and its interval.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson 1988, doi:10.2307/2531595; by mid-ranks: Sun, Xu 2014,
    doi:10.1109/LSP.2014.2337313.
    """
    from scipy.stats import norm, rankdata

    n, m = len(members), len(others)
    together = rankdata(np.concatenate([members, others]))
    # Of each member: the share of others below it; of each other: of members above it.
    below = (together[:n] - rankdata(members)) / m
    above = 1 - (together[n:] - rankdata(others)) / n
    value = float(below.mean())
    se = float(np.sqrt(below.var(ddof=1) / n + above.var(ddof=1) / m))
    half = float(norm.ppf(0.5 + CONFIDENCE / 2)) * se
    return Interval(value, max(0.0, value - half), min(1.0, value + half))


def tpr_at(members: np.ndarray, others: np.ndarray, rate: float) -> float:
    """The share of members above a threshold that at most ``rate`` of the others exceed.

    With fewer than 1 / ``rate`` others that is one which none exceeds.
    """
    threshold = np.sort(others)[::-1][int(rate * len(others) + 1e-9)]
    return float((members > threshold).mean())


def _tpr(members: np.ndarray, others: np.ndarray, rate: float, seed: int) -> Interval:
    rng = np.random.default_rng(seed)
    again = [
        tpr_at(rng.choice(members, len(members)), rng.choice(others, len(others)), rate)
        for _ in range(N_RESAMPLES)
    ]
    low, high = np.quantile(again, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(tpr_at(members, others, rate), float(low), float(high))


def as_values(found: Membership, most_points: int = 200) -> dict[str, object]:
    """Plain values for a JSON file, with at most so many points of the curve."""
    points = np.unique(
        np.linspace(0, len(found.false_positive) - 1, most_points).round().astype(int)
    )
    return {
        "auc": _interval(found.auc),
        "tpr": {f"{rate:g}": _interval(one) for rate, one in found.tpr.items()},
        "n_members": found.n_members,
        "n_others": found.n_others,
        "roc": [_rounded(found.false_positive[points]), _rounded(found.true_positive[points])],
    }


def _interval(one: Interval) -> dict[str, float]:
    return {"value": one.value, "low": one.low, "high": one.high}


def _rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    return [round(float(v), 5) for v in values]
