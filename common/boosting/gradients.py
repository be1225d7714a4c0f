"""Gradients of the softmax loss on a whole-numbered grid, in which sums are exact and order-free.

A gradient and a hessian travel as one word of the ring: whole steps of 2^-f, the gradient in the
low 32 bits as signed, the hessian above. Words add modulo 2^64 like any others, under masks too;
f is chosen from the agreed weight of all cells so that neither half of a total can overflow.
Sums of whole numbers do not depend on how cells are dealt to sites: that is why the federated
trees are the pooled ones bit for bit. Each value is off by half a step at most, so that the sum
over n cells is off by some sqrt(n) 2^-f / 4, about 1e-8 of the cells' weight.
"""

import math

import numpy as np

from common.classification.probabilities import softmax
from common.errors import ConfigError, RingError

# A signed half of a word.
LANE = 2.0**31
MAX_FRACTION_BITS = 30


def fraction_bits(n_cells: float, total_weight: float) -> int:
    """The finest f with which gradients of all cells fit half a word.

    Parameters
    ----------
    n_cells, total_weight
        Of all sites together: cells, and the sum of their weights.

    Raises
    ------
    ConfigError
        There are no cells, or their weights do not fit.
    """
    if not (n_cells >= 1 and 0 < total_weight < np.inf):
        raise ConfigError(
            f"{n_cells:g} cells of total weight {total_weight:g}: nothing to grow trees from; "
            "are there training cells, and class weights above zero?"
        )
    room = LANE - 1 - n_cells / 2
    bits = math.floor(math.log2(room / total_weight)) if room > 0 else -1
    if bits < 0:
        raise ConfigError(
            f"the weights of {n_cells:g} cells add up to {total_weight:g}, too much for 32 bits; "
            "scale the class weights down"
        )
    return min(bits, MAX_FRACTION_BITS)


def check_fits(weights: np.ndarray, bits: int) -> None:
    """Refuse a grid in which this site's own gradients could overflow half a word.

    Raises
    ------
    RingError
        The agreed number of cells or weights is not the sites'.
    """
    if weights.sum() * 2.0**bits + len(weights) / 2 >= LANE:
        message = (
            f"{bits} fractional bits are too many for this site's cells: the agreed number of "
            "cells or class weights is not the one of this data; start the run anew"
        )
        raise RingError(message, public=message)


def pack(gradients: np.ndarray, hessians: np.ndarray, bits: int) -> np.ndarray:
    """Both rounded to steps of 2^-bits, in one int64 each."""
    words = np.rint(hessians * 2.0**bits).astype(np.int64)
    words <<= 32
    words += np.rint(gradients * 2.0**bits).astype(np.int64)
    return words


def unpack(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of gradients and of hessians in steps, int64, from sums of :func:`pack`'s words."""
    gradients = (words << np.int64(32)) >> np.int64(32)
    return gradients, (words - gradients) >> np.int64(32)


def softmax_gradients(
    margins: np.ndarray, labels: np.ndarray, weights: np.ndarray, bits: int
) -> np.ndarray:
    """Every cell's packed gradient and hessian for every class.

    Parameters
    ----------
    margins
        Sums of the leaves so far, (n_classes, n_cells).
    labels
        Class of each cell, (n_cells,).
    weights
        (n_cells,).

    Returns
    -------
    words
        int64 (n_classes, n_cells): w (p - [label]) and, as XGBoost has it, w 2 p (1 - p). A cell's
        do not depend on the cells beside it, nor, but for one value in billions, on the machine's
        exp.

    Raises
    ------
    UpdateError
        A margin is not finite.
    """
    p = softmax(margins.T).T
    hessians = 2 * p * (1 - p) * weights
    p[labels, np.arange(len(labels))] -= 1
    p *= weights
    return pack(p, hessians, bits)


def class_margins(class_weights: np.ndarray) -> np.ndarray:
    """Where boosting starts: centred logs of the classes' shares, as XGBoost does, float32.

    Parameters
    ----------
    class_weights
        Weight of the cells of each class over all sites, (n_classes,).
    """
    share = np.asarray(class_weights, dtype=np.float64)
    logs = np.log(share / share.sum() + 1e-6)
    return (logs - logs.mean()).astype(np.float32)
