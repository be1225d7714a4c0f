"""Genes that tell the classes apart, from sums over sites: between over within sums of squares.

References
----------
Dudoit et al. 2002, doi:10.1198/016214502753479248, section 4.2; used by scDLC.
"""

from collections.abc import Mapping

import numpy as np

from common.data.matrix import ExpressionMatrix


def site_class_sums(
    matrix: ExpressionMatrix, labels: np.ndarray, rows: np.ndarray, n_classes: int
) -> dict[str, np.ndarray]:
    """One site's contribution to :func:`between_within`.

    Parameters
    ----------
    labels
        Class of each cell, an integer (n_cells,).
    rows
        Training cells, each with a label.

    Returns
    -------
    sums
        Of log1p CP10k, float64: ``n_cells`` (n_classes,), ``sum_log`` (n_classes, n_genes) and
        ``sum_log_squared`` (n_genes,).
    """
    n_genes = matrix.shape[1]
    sums = {
        "n_cells": np.bincount(labels[rows], minlength=n_classes).astype(np.float64),
        "sum_log": np.zeros((n_classes, n_genes)),
        "sum_log_squared": np.zeros(n_genes),
    }
    for class_ in np.flatnonzero(sums["n_cells"]):
        log = matrix.sparse[rows[labels[rows] == class_]].astype(np.float64)
        sums["sum_log"][class_] = np.ravel(log.sum(axis=0))
        sums["sum_log_squared"] += np.ravel(log.multiply(log).sum(axis=0))
    return sums


def between_within(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    """Ratio of the sums of squares between and within classes, (n_genes,).

    A gene that is constant has 0, one that is constant within every class infinity.

    Parameters
    ----------
    sums
        Those of :func:`site_class_sums`, added up over sites.
    """
    n_C, sum_CG = sums["n_cells"], sums["sum_log"]
    held = n_C > 0
    squares_of_means_G = (sum_CG[held] ** 2 / n_C[held, None]).sum(axis=0)
    between_G = squares_of_means_G - sum_CG.sum(axis=0) ** 2 / n_C.sum()
    within_G = sums["sum_log_squared"] - squares_of_means_G
    # What rounding leaves of a constant.
    floor_G = 1e-12 * sums["sum_log_squared"]
    between_G = np.where(between_G > floor_G, between_G, 0.0)
    within_G = np.where(within_G > floor_G, within_G, 0.0)
    ratio_G = np.where(between_G > 0, np.inf, 0.0)
    np.divide(between_G, within_G, out=ratio_G, where=within_G > 0)
    return ratio_G


def most_distinct(ratio: np.ndarray, n_selected: int) -> np.ndarray:
    """Positions of the genes with the greatest ratio, the greatest first; ties by position."""
    return np.argsort(-ratio, kind="stable")[:n_selected]
