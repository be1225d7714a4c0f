"""What a cell of each class weighs in the loss, and what is added to its logit: from summed counts.

Weights are scaled so that a cell's weight is 1 on average over all sites, so that a learning rate
means the same with and without them. A site divides the weighted losses of a batch by the number
of its cells (torch's ``reduction="mean"`` divides by their weights): only then is the mean over
sites, weighted by cells, the pooled loss.
"""

import numpy as np

from common.errors import ConfigError, InputError, UpdateError
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


def logit_offsets(
    site_counts: np.ndarray,
    strength: float = 1.0,
    pooled_counts: np.ndarray | None = None,
    *,
    pseudo_count: float = 0.0,
) -> np.ndarray:
    """What a site adds to its logits in training, nats, float64 (n_classes,).

    A classifier trained with the offset tau log p(class at the site) is left with logits that no
    longer hold the site's class frequencies, so that their average over sites fits them all. A
    class that the site lacks is left out of its softmax, so that its logit is not pushed down by
    cells of other classes at all, or with a pseudo-count less than others.

    Parameters
    ----------
    site_counts
        The site's training cells of each class, (n_classes,).
    strength
        Menon's tau.
    pooled_counts
        With them the logits keep the frequencies over all sites, which accuracy asks for (Bayes'
        rule with the prior exchanged); without, all classes are alike, which macro-F1 asks for.
    pseudo_count
        Cells that are added to each class at the site.

    Raises
    ------
    ConfigError
        ``pseudo_count`` is negative.
    InputError
        The site has no cell of any class.
    UpdateError
        The site has more cells of a class than all sites together.

    References
    ----------
    Menon et al. 2021, arXiv:2007.07314, equation 10.
    """
    if pseudo_count < 0:
        raise ConfigError(f"pseudo-count = {pseudo_count:g}: give 0 or more cells, as 1")
    _present(site_counts)
    site = np.asarray(site_counts, dtype=np.float64) + pseudo_count
    ratio = site / site.sum()
    if pooled_counts is not None:
        pooled = np.asarray(pooled_counts, dtype=np.float64)
        if (np.asarray(site_counts) > pooled).any():
            raise UpdateError(
                "a site has more cells of a class than all sites together: its labels changed "
                "after they were counted; start the run anew"
            )
        ratio = ratio * pooled.sum() / np.maximum(pooled, 1)
    offsets = np.full(site.shape, -np.inf)
    offsets[site > 0] = strength * np.log(ratio[site > 0])
    return offsets


def _present(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which classes have cells, and how many."""
    counts = np.asarray(counts, dtype=np.float64)
    present = counts > 0
    if not present.any():
        raise InputError("no training cell has a label of any class: give data with labels.")
    return present, counts[present]
