"""All figures of a synthetic cohort, and those that real records reach."""

from typing import Any

import numpy as np

from common.errors import InputError
from common.metrics.score import Undefined
from common.synthesis.records import Records
from common.synthesis.scores import differential, mixing, mmd, prediction
from common.synthesis.scores.correlations import correlation_mae
from common.synthesis.scores.discriminator import FOLDS, discriminator_auc
from common.synthesis.scores.marginals import kolmogorov_smirnov, wasserstein
from common.synthesis.scores.mixing import lisi
from common.synthesis.scores.mmd import mmd2
from common.synthesis.scores.zero_rates import zero_rate_difference

SETTINGS = {
    **prediction.SETTINGS,
    "mmd2": mmd.SETTINGS,
    "lisi": mixing.SETTINGS,
    "auc": f"{FOLDS}-fold cross-validation, equally many records of each",
    "differential": differential.SETTINGS,
}


def score_synthetic(
    real_train: Records,
    real_test: Records | None,
    synthetic: Records,
    *,
    n_classes: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a synthetic cohort, and the held-out real records in its place.

    Parameters
    ----------
    real_train
        Records that the cohort was made from; values are logarithms.
    real_test
        Real records that it was not made from; None: classifiers are tested on ``real_train``, and
        no figures of real records are to be had.
    synthetic
        The cohort, of the same genes and classes.
    n_classes
        None: as many as occur.
    seed
        Of samples, folds, forests and components.

    Returns
    -------
    ``synthetic`` and ``real``, each a value or None by the names of
    :data:`common.synthesis.scores.figures.FIGURES`. ``synthetic``: TSTR on ``real_test``, and
    the cohort beside ``real_train``. ``real``: TRTR, and ``real_test`` beside ``real_train``: what
    chance alone makes of so many real records. ``per_gene``: mean and variance of every gene, and
    its distances. ``settings``, ``tested_on``, ``n_records``.

    Raises
    ------
    InputError
        Genes differ in number, a value is not finite, or there are fewer than ten records.
    """
    cohorts = {"real": real_train, "held out": real_test, "synthetic": synthetic}
    there = {name: records for name, records in cohorts.items() if records is not None}
    for name, records in there.items():
        _check(name, records, real_train.values.shape[1])
    if n_classes is None:
        n_classes = 1 + max(int(records.classes.max()) for records in there.values())
    test = real_train if real_test is None else real_test
    found = {"synthetic": _predict(synthetic, test, seed) | _alike(real_train, synthetic, seed)}
    found["synthetic"] |= _same_genes(real_train, synthetic, n_classes)
    if real_test is None:
        found["real"] = dict.fromkeys(found["synthetic"])
    else:
        found["real"] = (
            _predict(real_train, real_test, seed)
            | _alike(real_train, real_test, seed)
            | _same_genes(real_train, real_test, n_classes)
        )
    return {
        **found,
        "per_gene": {
            "real_mean": real_train.values.mean(axis=0).tolist(),
            "synthetic_mean": synthetic.values.mean(axis=0).tolist(),
            "real_variance": real_train.values.var(axis=0).tolist(),
            "synthetic_variance": synthetic.values.var(axis=0).tolist(),
            "wasserstein": wasserstein(real_train.values, synthetic.values).tolist(),
        },
        "tested_on": "real" if real_test is None else "held out",
        "n_records": {name: len(records.values) for name, records in there.items()},
        "settings": {**SETTINGS, "seed": seed},
    }


def _check(name: str, records: Records, n_genes: int) -> None:
    if records.values.shape[1] != n_genes:
        raise InputError(
            f"the {name} records have {records.values.shape[1]} genes and the real ones {n_genes}: "
            "give the same genes in the same order"
        )
    if len(records.values) < 10:
        raise InputError(f"{len(records.values)} {name} records are too few to score: give 10")
    if bad := int((~np.isfinite(records.values)).any(axis=1).sum()):
        raise InputError(f"{bad} {name} records hold NaN or infinity: leave them out")


def _predict(train: Records, test: Records, seed: int) -> dict[str, float]:
    pair = (train.values, train.classes), (test.values, test.classes)
    return {
        f"{model}_{name}": value
        for model in prediction.MODELS
        for name, value in prediction.prediction(*pair, model=model, seed=seed).items()
    }


def _alike(real: Records, other: Records, seed: int) -> dict[str, float | None]:
    a, b = real.values, other.values
    try:
        mixed = lisi(a, b, seed=seed)
    except Undefined:
        mixed = None
    return {
        "wasserstein": float(wasserstein(a, b).mean()),
        "kolmogorov_smirnov": float(kolmogorov_smirnov(a, b).mean()),
        "zero_rate": zero_rate_difference(a, b),
        "correlation_mae": correlation_mae(a, b),
        "mmd2": mmd2(a, b, seed=seed),
        "lisi": mixed,
        "auc_logistic": discriminator_auc(a, b, model="logistic", seed=seed),
        "auc_forest": discriminator_auc(a, b, model="forest", seed=seed),
    }


def _same_genes(real: Records, other: Records, n_classes: int) -> dict[str, float | None]:
    both = (
        differential.differential(records.values, records.classes, n_classes)
        for records in (real, other)
    )
    return differential.compare_differential(*both)
