"""What epsilon and delta promise, in plain words."""

import math
from collections.abc import Mapping
from typing import Any

UNITS = {"record": "record", "donor": "donor, with all their records,"}


def statement(privacy: Mapping[str, Any]) -> list[str]:
    """Sentences on a privacy statement, as ``uns["privacy"]`` of a synthetic cohort holds it.

    Parameters
    ----------
    privacy
        ``epsilon``, ``delta``, ``unit``; with ``epsilon_colluding`` and ``colluding`` where sites
        may collude. {}: nothing is stated.
    """
    if "epsilon" not in privacy:
        return ["No privacy is stated: treat the cohort as the real records."]
    epsilon, delta = float(privacy["epsilon"]), float(privacy.get("delta", 0.0))
    unit = UNITS.get(str(privacy.get("unit", "record")), str(privacy.get("unit")))
    if math.isinf(epsilon):
        return [
            "Made without noise: there is no privacy. Treat the cohort as the real records; it is "
            "an upper bound for comparison."
        ]
    told = [
        f"Differentially private: epsilon {epsilon:.3g}, delta {delta:.2g} for each {unit} added "
        "or removed.",
        f"Whoever sees it, whatever else they know: a guess at even odds of whether a {unit} is in "
        f"it becomes right with a chance of at most {guess(epsilon, delta):.0%}.",
    ]
    colluding = int(privacy.get("colluding", 0))
    if colluding and "epsilon_colluding" in privacy:
        told.append(
            f"Against {colluding} colluding site{'s' if colluding > 1 else ''}, who know their own "
            f"noise: epsilon {float(privacy['epsilon_colluding']):.3g}."
        )
    if epsilon > 10:
        told.append("An epsilon above 10 promises little.")
    return told


def guess(epsilon: float, delta: float) -> float:
    """The most that the chance of a right guess between two even neighbours can be.

    Its errors e of both kinds keep to e + exp(epsilon) e >= 1 - delta.

    References
    ----------
    Kairouz, Oh, Viswanath 2015, arXiv:1311.0776, Theorem 2.1.
    """
    return 1 - (1 - delta) / (1 + math.exp(epsilon))
