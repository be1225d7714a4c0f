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
        As of :func:`common.synthesis.statement.privacy_statement`. {}: nothing is stated.
    """
    if not privacy:
        return ["No privacy is stated: treat the cohort as the real records."]
    if not is_private(privacy):
        return [
            "Made without noise: there is no privacy. Treat the cohort as the real records; it is "
            "an upper bound for comparison."
        ]
    epsilon, delta = float(privacy["epsilon"]), float(privacy["delta"])
    unit = UNITS.get(str(privacy.get("unit", "record")), str(privacy.get("unit")))
    told = [
        f"Differentially private: epsilon {epsilon:.3g}, delta {delta:.2g} for each {unit} added "
        "or removed.",
        f"Whoever sees it, whatever else they know: a guess at even odds of whether a {unit} is in "
        f"it is right with a chance of at most {guess(epsilon, delta):.1%}.",
    ]
    if epsilon > 10:
        told.append("An epsilon above 10 promises little.")
    colluding = int(privacy.get("colluding", 0))
    for n, against in dict(privacy.get("epsilon_colluding", {})).items():
        several = f"{n} sites that pool what they know"
        sites = several if int(n) > 1 else "1 site of the run, which knows its part of the noise"
        if not _number(against):
            told.append(f"Against {sites}: no epsilon can be stated.")
        elif int(n) > colluding or float(against) > epsilon:
            told.append(f"Against {sites}: epsilon {float(against):.3g}.")
    told += [f"Not covered: {what}." for what in privacy.get("not_covered", ())]
    return told


def is_private(privacy: Mapping[str, Any]) -> bool:
    """Whether a statement promises anything."""
    return bool(privacy.get("private", True)) and _number(privacy.get("epsilon"))


def _number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def guess(epsilon: float, delta: float) -> float:
    """The most that the chance of a right guess between two even neighbours can be.

    Its errors e of both kinds keep to e + exp(epsilon) e >= 1 - delta.

    References
    ----------
    Kairouz, Oh, Viswanath 2015, arXiv:1311.0776, Theorem 2.1.
    """
    return 1 - (1 - delta) / (1 + math.exp(epsilon))
