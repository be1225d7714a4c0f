"""The privacy audit of a synthetic cohort: who was in it, and whose record is copied."""

from typing import Any

import numpy as np

from common.errors import InputError
from common.synthesis.audit.closest import SPACE, closest_records
from common.synthesis.audit.cohort_attacks import by_class_means, by_density, by_distance
from common.synthesis.audit.membership import as_values, membership
from common.synthesis.audit.units import halves, unit_means
from common.synthesis.records import Records

ATTACKS = {
    "distance": f"distance to the closest synthetic record ({SPACE})",
    "density": "density of the cohort over that of the population, by the nearest neighbour "
    "(DOMIAS)",
    "class_means": "likelihood of a record under the cohort's class means over that under the "
    "population's (knows generators of class moments)",
    "tracing": "likelihood of all released sums with the unit over that without (knows the "
    "generator and what it released)",
}
LEAST_UNITS = 10


def audit_synthetic(
    real_train: Records,
    real_test: Records,
    synthetic: Records,
    *,
    traced: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Attack a synthetic cohort.

    Members are the units of ``real_train``, others those of ``real_test``; a unit's score is the
    mean of its records'. Half of the others' units are the attacker's reference for each half of
    the units, so that no unit is judged by itself.

    Parameters
    ----------
    real_train, real_test, synthetic
        Records of the same genes and classes; values are logarithms.
    traced
        Scores of members and others by :func:`~common.synthesis.audit.tracing.tracing_scores`,
        where the released sums are known.
    seed
        Of halves and samples.

    Returns
    -------
    ``attacks``: by name what :func:`~common.synthesis.audit.membership.as_values` gives;
    ``strongest``: the name of the one with the highest lower bound of the AUC; ``closest``: see
    :func:`~common.synthesis.audit.closest.closest_records`.

    Raises
    ------
    InputError
        There are fewer than ten units of a kind.
    """
    for name, records in (("real", real_train), ("held-out", real_test)):
        if records.n_units < LEAST_UNITS:
            raise InputError(
                f"{records.n_units} {name} units are too few to audit membership: give "
                f"{LEAST_UNITS}"
            )
    of_train, of_test = _scores(real_train, real_test, synthetic, seed)
    scores = {
        name: (
            unit_means(of_train[name], real_train.units),
            unit_means(of_test[name], real_test.units),
        )
        for name in of_train
    }
    if traced is not None:
        scores["tracing"] = traced
    attacks = {
        name: as_values(membership(*pair, seed=seed)) | {"what": ATTACKS[name]}
        for name, pair in scores.items()
        if min(map(len, pair)) >= 2
    }
    return {
        "attacks": attacks,
        "strongest": max(attacks, key=lambda name: attacks[name]["auc"]["low"]),
        "closest": closest_records(
            real_train.values, real_test.values, synthetic.values, seed=seed
        ),
        "seed": seed,
    }


def _scores(
    train: Records, test: Records, synthetic: Records, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of every record by every attack, NaN where it cannot be judged."""
    half_train, half_test = halves(train.n_units, seed), halves(test.n_units, seed + 1)
    found: tuple[dict[str, np.ndarray], ...] = ({}, {})
    for half in (0, 1):
        reference = half_test[test.units] != half
        known = (test.values[reference], test.classes[reference])
        for records, halves_, out in ((train, half_train, found[0]), (test, half_test, found[1])):
            rows = halves_[records.units] == half
            x, y = records.values[rows], records.classes[rows]
            judged = {
                "distance": by_distance(x, synthetic.values, known[0]),
                "density": by_density(x, synthetic.values, known[0]),
                "class_means": by_class_means(x, y, (synthetic.values, synthetic.classes), known),
            }
            for name, values in judged.items():
                out.setdefault(name, np.full(len(records.values), np.nan))[rows] = values
    return found
