"""The best split of a node from its histogram, by XGBoost's formulae.

References
----------
Chen and Guestrin 2016, doi:10.1145/2939672.2939785: equation 5, the weight of a leaf; equation 7,
the gain. As in XGBoost itself, the gain is without its factor 1/2, so that gamma is twice the
paper's, and is compared in single precision.
"""

from dataclasses import dataclass

import numpy as np

from common.boosting.bins import BinEdges
from common.boosting.gradients import unpack
from common.errors import ConfigError

# XGBoost's: less is not taken for a gain.
LEAST_GAIN = 1e-6


@dataclass(frozen=True)
class Rules:
    """How trees grow; the names and defaults are XGBoost's, but for depth.

    Parameters
    ----------
    eta
        Learning rate.
    max_depth
        Levels of splits.
    reg_lambda
        Added to a leaf's sum of hessians.
    gamma
        Least gain of a split.
    min_child_weight
        Least sum of hessians on either side of a split.

    Raises
    ------
    ConfigError
        One is out of its range.
    """

    eta: float = 0.3
    max_depth: int = 3
    reg_lambda: float = 1.0
    gamma: float = 0.0
    min_child_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.eta <= 1:
            raise ConfigError(f"eta = {self.eta}: give a number above 0 and up to 1")
        for name in ("reg_lambda", "gamma", "min_child_weight"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"{name} = {getattr(self, name)}: give a number from 0")


@dataclass(frozen=True)
class Split:
    """A split of one node.

    Parameters
    ----------
    gene, threshold
        Cells below the threshold, log1p CP10k, go left.
    gain
        Float32.
    right
        Packed sum of the gradients of the cells that go right.
    """

    gene: int
    threshold: np.float32
    gain: np.float32
    right: np.int64


def best_split(
    histogram: np.ndarray, total: np.int64, edges: BinEdges, rules: Rules, bits: int
) -> Split | None:
    """The split of the largest gain; of equal ones that of the first gene, then the lowest edge.

    Parameters
    ----------
    histogram
        Packed sums in the node's bins above zero, int64 (n_bins,).
    total
        Packed sum over the node.
    edges
        Of the genes that may be split on; the gene of the result counts among these.

    Returns
    -------
    split
        None where nothing is gained.
    """
    if not edges.n_bins:
        return None
    # Right of each edge: the gene's bins from there on. Sums across genes overflow the halves of
    # a word, but only modulo 2^64, in which their differences are exact.
    up_to = np.zeros(len(histogram) + 1, dtype=np.uint64)
    np.cumsum(histogram.view(np.uint64), out=up_to[1:])
    n_edges = np.diff(edges.starts)
    right_words = (np.repeat(up_to[edges.starts[1:]], n_edges) - up_to[:-1]).view(np.int64)
    right, node = unpack(right_words), unpack(np.int64(total))
    left = node[0] - right[0], node[1] - right[1]
    least = rules.min_child_weight * 2.0**bits
    allowed = np.ones(len(right_words), dtype=bool)
    for _, hessians in (left, right):
        allowed &= (hessians >= least) & (hessians > 0)
    gain = _gain(left, rules, bits) + _gain(right, rules, bits) - _gain(node, rules, bits)
    gain[~allowed] = -np.inf
    best = int(gain.argmax())
    if gain[best] <= LEAST_GAIN or gain[best] < rules.gamma:
        return None
    gene, threshold = edges.gene_and_threshold
    return Split(int(gene[best]), threshold[best], gain[best], right_words[best])


def _gain(sums: tuple[np.ndarray, np.ndarray], rules: Rules, bits: int) -> np.ndarray:
    """G^2 / (H + lambda), float32; 0 where H is."""
    gradient, hessian = (np.asarray(part) * 2.0**-bits for part in sums)
    out = np.zeros(np.shape(gradient))
    np.divide(gradient**2, hessian + rules.reg_lambda, out=out, where=hessian > 0)
    return out.astype(np.float32)


def leaf_value(total: np.int64, rules: Rules, bits: int) -> tuple[np.float32, np.float32]:
    """A leaf's value, -eta G / (H + lambda), and its sum of hessians, both float32."""
    gradient, hessian = (float(part) * 2.0**-bits for part in unpack(np.int64(total)))
    weight = 0.0
    if hessian > 0 and hessian >= rules.min_child_weight:
        weight = -gradient / (hessian + rules.reg_lambda)
    return np.float32(weight) * np.float32(rules.eta), np.float32(hessian)


def may_split(total: np.int64, rules: Rules, bits: int) -> bool:
    """Whether both sides of some split of a node could weigh enough."""
    _, hessian = unpack(np.int64(total))
    return bool(hessian >= 2 * rules.min_child_weight * 2.0**bits and hessian > 1)
