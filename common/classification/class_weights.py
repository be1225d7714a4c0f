"""What a cell of each class weighs in the loss, and what is added to its logit: from summed counts.

Weights are scaled so that a cell's weight is 1 on average over all sites, so that a learning rate
means the same with and without them. A site divides the weighted losses of a batch by the number
of its cells (torch's ``reduction="mean"`` divides by their weights): only then is the mean over
sites, weighted by cells, the pooled loss.
"""

import numpy as np

from common.errors import ConfigError, InputError
from common.registry import did_you_mean

KINDS = ("none", "balanced", "sqrt", "effective")


def class_weights(counts: np.ndarray, kind: str, *, beta: float = 0.999) -> np.ndarray:
    """The weight of a cell of each class, float64 (n_classes,), 0 for a class without cells.

    Parameters
    ----------
    counts
        (n_classes,) training cells of each class, summed over sites.
    kind
        ``"balanced"``: 1 / n_c, so that classes weigh the same (as scikit-learn); ``"sqrt"``:
        1 / sqrt(n_c), between balanced and none; ``"effective"``: (1 - beta) / (1 - beta^n_c), one
        over the effective number of samples; ``"none"``.
    beta
        Of ``"effective"``, from 0 (no weights) to below 1 (towards balanced).

    Raises
    ------
    ConfigError
        ``kind`` is unknown, or ``beta`` out of range.
    InputError
        No class has cells.

    References
    ----------
    Cui et al. 2019 (effective number of samples), arXiv:1901.05555, equations 2 and 4.
    """
    if kind not in KINDS:
        raise ConfigError(f"unknown class-weights {kind!r}: {did_you_mean(kind, KINDS)}")
    if not 0 <= beta < 1:
        raise ConfigError(f"beta = {beta:g} of the effective number: give 0 to below 1, as 0.999")
    present, n = _present(counts)
    weights = np.zeros(len(counts))
    weights[present] = _inverse(n, kind, beta)
    return weights * (n.sum() / (weights[present] * n).sum())


def _inverse(n: np.ndarray, kind: str, beta: float) -> np.ndarray:
    if kind == "effective" and beta > 0:
        # 1 - beta^n without the cancellation of a beta near 1.
        return (1 - beta) / -np.expm1(n * np.log(beta))
    return {"balanced": 1 / n, "sqrt": 1 / np.sqrt(n)}.get(kind, np.ones(len(n)))


def log_priors(counts: np.ndarray, *, pseudocount: float = 1.0) -> np.ndarray:
    """log pi_c of logit adjustment, nats, float64 (n_classes,).

    Trained with cross entropy on f_c + tau log pi_c and used with f_c alone, a model is right by
    the balanced error; with a site's own counts in place of the sum, the site does not push down
    classes that it lacks.

    Parameters
    ----------
    counts
        (n_classes,) training cells of each class, of all sites or of one.
    pseudocount
        Cells added to every class; with 0, a class without cells has -inf.

    Raises
    ------
    ConfigError
        ``pseudocount`` is negative.
    InputError
        No class has cells.

    References
    ----------
    Menon et al. 2021, arXiv:2007.07314, equation 10.
    """
    if pseudocount < 0:
        raise ConfigError(f"pseudocount = {pseudocount:g}: give 0 or more cells, as 1")
    _present(counts)
    cells = np.asarray(counts, dtype=np.float64) + pseudocount
    with np.errstate(divide="ignore"):
        return np.log(cells / cells.sum())


def _present(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which classes have cells, and how many."""
    counts = np.asarray(counts, dtype=np.float64)
    present = counts > 0
    if not present.any():
        raise InputError("no site holds a cell of any class: give data with labels.")
    return present, counts[present]
