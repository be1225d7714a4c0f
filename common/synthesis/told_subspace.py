"""The few directions in which classes were found to differ, looked at once more.

A record's standardised deviations z (n_genes,) are seen along q orthonormal directions V, q below
the number of classes: p = V^T z. Hundreds of times shorter than z, p can be released with as much
less noise: class means along V, and the covariance of records about them there, which a classifier
of synthetic records weighs these directions by. One ball for p, its products and a constant.
"""

from dataclasses import dataclass

import numpy as np

from common.synthesis.contributions import STEPS, Pairs
from common.synthesis.ratio_means import Rows, weights_of, with_constant

LEAST_SIZE = 1e-6  # of a direction against the largest


@dataclass(frozen=True)
class Told:
    """Found along the directions: means (n_classes, q), their noise's variance (n_classes,), and
    the covariance of records about the means (q, q)."""

    means: np.ndarray
    noise: np.ndarray
    covariance: np.ndarray


def directions(deviations: np.ndarray, shares: np.ndarray, most: int) -> np.ndarray:
    """V (n_genes, ``most``): the main axes of class means, weighted by how many records they have.

    Parameters
    ----------
    deviations
        Of class means from their common one, standardised: (n_classes, n_genes).
    shares
        Of the classes, (n_classes,).
    most
        q; axes beyond the rank of the deviations are of no meaning, and harmless.
    """
    _, _, axes = np.linalg.svd(deviations * np.sqrt(shares)[:, None], full_matrices=False)
    return axes[:most].T


def n_sums(n_classes: int, q: int) -> int:
    """Products and means, each with their constants."""
    return q * (q + 1) // 2 + 1 + n_classes * (q + 1)


def sums(z: np.ndarray, v: np.ndarray, pairs: Pairs, radius: float, n_classes: int) -> np.ndarray:
    """Clipped sums: int64 (n_sums,), L2 sensitivity STEPS."""
    p = z @ v
    upper = np.triu_indices(v.shape[1])
    products = p[:, upper[0]] * p[:, upper[1]] / radius
    of_pairs = with_constant(pairs.means(p), radius)
    of_units = with_constant(pairs.unit_means(products), radius)
    return Rows(of_units, of_pairs).sums(pairs, radius, n_classes)


def told(total: np.ndarray, noise_sd: float, radius: float, n_classes: int, q: int) -> Told:
    """What noisy sums tell."""
    unit, n_products = radius / STEPS, q * (q + 1) // 2
    products, units, of_classes = np.split(total, [n_products, n_products + 1])
    of_classes = of_classes.reshape(n_classes, q + 1)
    least = max(float(weights_of(noise_sd)), 1e-9)
    weight = np.maximum(weights_of(of_classes[:, -1]), least)
    means = of_classes[:, :-1] * unit / weight[:, None]
    second = np.zeros((q, q))
    second[np.triu_indices(q)] = products * unit * radius / max(float(weights_of(units)[0]), least)
    second = second + np.triu(second, 1).T
    within = second - (means.T * weight / weight.sum()) @ means
    return Told(means, (noise_sd * unit / weight) ** 2, within)
