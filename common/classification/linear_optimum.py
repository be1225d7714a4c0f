"""The pooled optimum of a linear classifier, from sums over sites and nothing else.

Loss and gradient of a linear model are sums over cells. Each round the coordinator names a point,
every site adds up loss and gradient over its cells there, and L-BFGS at the coordinator moves on by
the summed pair: the steps, and so the optimum, are those of the pooled data.

References
----------
Liu & Nocedal 1989 (L-BFGS), doi:10.1007/BF01589116; Chapelle 2007 (Huber's hinge),
doi:10.1162/neco.2007.19.5.1155.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from common.data.matrix import ExpressionMatrix
from common.errors import UpdateError

# Half widths of the hinge's rounded corner, one after the other: at the last one the loss is at
# most a quarter of it per cell and class above the hinge.
CORNERS = (0.5, 0.1, 0.02)
CHUNK = 1024


@dataclass(frozen=True)
class LinearLoss:
    """mean over cells of the loss + alpha / 2 ||W||^2; the biases are free.

    Parameters
    ----------
    kind
        ``"softmax"`` (``logistic``), ``"hinge"`` or ``"squared_hinge"`` (``svm``).
    n_genes, n_classes
        Size of W, (n_classes, n_genes), and of the bias.
    alpha
        Strength of the penalty.
    class_weights
        As in the classifiers: a cell's, by its class; in a hinge, of a class's own cells.
    scaled
        Over expression scaled by the pooled moments, else log1p CP10k.
    corner
        Half width of the hinge's rounded corner; the hinge itself at 0 has no gradient there.
    """

    kind: str
    n_genes: int
    n_classes: int
    alpha: float
    class_weights: np.ndarray | None = None
    scaled: bool = False
    corner: float = 0.0

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return self.n_classes * (self.n_genes + 1)

    def split(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """W (n_classes, n_genes) and bias (n_classes,) of a vector (n_parameters,)."""
        n_weights = self.n_classes * self.n_genes
        weight = parameters[:n_weights].reshape(self.n_classes, self.n_genes)
        return weight, parameters[n_weights:]

    def state(self, parameters: np.ndarray) -> dict[str, np.ndarray]:
        """The state of the classifier ``logistic`` or ``svm`` at a point, float32."""
        weight, bias = self.split(np.asarray(parameters, dtype=np.float32))
        return {"linear.weight": weight, "linear.bias": bias}

    def parameters(self, state: dict[str, np.ndarray]) -> np.ndarray:
        """The point of a :meth:`state`, float64 (n_parameters,)."""
        parts = (state["linear.weight"].ravel(), state["linear.bias"])
        return np.concatenate(parts).astype(np.float64)


def site_sums(
    loss: LinearLoss,
    matrix: ExpressionMatrix,
    labels: np.ndarray,
    rows: np.ndarray,
    parameters: np.ndarray,
) -> np.ndarray:
    """A site's loss and gradient at a point, summed over its cells, without the penalty.

    Parameters
    ----------
    labels
        Class of each cell, an integer (n_cells,).
    rows
        Training cells, each with a label; none gives zeros.
    parameters
        (n_parameters,).

    Returns
    -------
    sums
        The loss, then its gradient, float64 (1 + n_parameters,).
    """
    weight, bias = loss.split(np.asarray(parameters, dtype=np.float64))
    gradient_w, gradient_b, total = np.zeros_like(weight), np.zeros_like(bias), 0.0
    for start in range(0, len(rows), CHUNK):
        batch = rows[start : start + CHUNK]
        x = _expression(loss, matrix, batch)
        losses, slopes = _cell_losses(loss, x @ weight.T + bias, labels[batch])
        total += losses.sum()
        gradient_w += (x.T @ slopes).T
        gradient_b += slopes.sum(axis=0)
    return np.concatenate([[total], gradient_w.ravel(), gradient_b])


def linear_logits(
    loss: LinearLoss, matrix: ExpressionMatrix, rows: np.ndarray, parameters: np.ndarray
) -> np.ndarray:
    """Logits, or margins, of some cells at a point, float64 (n_rows, n_classes).

    They are of the classifier that :meth:`LinearLoss.state` publishes, of values in float32.
    """
    weight, bias = (v.astype(np.float64) for v in loss.state(parameters).values())
    parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    logits = [_expression(loss, matrix, part) @ weight.T + bias for part in parts]
    return np.concatenate([np.empty((0, loss.n_classes)), *logits])


def _expression(loss: LinearLoss, matrix: ExpressionMatrix, rows: np.ndarray):
    return matrix.scaled(rows).double().numpy() if loss.scaled else matrix.sparse[rows]


def _cell_losses(loss: LinearLoss, logits: np.ndarray, y: np.ndarray):
    """Loss of each cell, (n_cells,), and its slope by each logit, (n_cells, n_classes)."""
    own = np.zeros(logits.shape, dtype=bool)
    own[np.arange(len(y)), y] = True
    weights = np.ones(loss.n_classes) if loss.class_weights is None else loss.class_weights
    if loss.kind == "softmax":
        log_p = logits - logsumexp(logits, axis=1, keepdims=True)
        weight_of_cell = weights[y]
        return -weight_of_cell * log_p[own], weight_of_cell[:, None] * (np.exp(log_p) - own)
    sign = np.where(own, 1.0, -1.0)
    values, slopes = _hinge(loss, sign * logits)
    weight = np.where(own, weights, 1.0)
    return (weight * values).sum(axis=1), weight * sign * slopes


def _hinge(loss: LinearLoss, margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hinge of a margin, and its slope."""
    lacking = np.maximum(1 - margin, 0)
    if loss.kind == "squared_hinge":
        return lacking**2, -2 * lacking
    h = loss.corner
    if h == 0:
        return lacking, -(lacking > 0).astype(np.float64)
    # A parabola from 1 - h to 1 + h that meets both lines with their slopes.
    reach = np.clip(1 + h - margin, 0, 2 * h)
    on_the_line = np.maximum(1 - h - margin, 0)
    return reach**2 / (4 * h) + on_the_line, -reach / (2 * h)


def objective(
    loss: LinearLoss, sums: np.ndarray, n_cells: float, parameters: np.ndarray
) -> tuple[float, np.ndarray]:
    """What is minimised and its gradient, from summed :func:`site_sums`.

    Parameters
    ----------
    n_cells
        Training cells of all sites.

    Raises
    ------
    UpdateError
        A sum is not finite.
    """
    if not np.isfinite(sums).all():
        raise UpdateError(
            "a site's loss or gradient of the linear classifier is not finite: check the sites' "
            "matrices for values that are not"
        )
    n_weights = loss.n_classes * loss.n_genes
    value, gradient = sums[0] / n_cells, sums[1:] / n_cells
    weight = parameters[:n_weights]
    gradient[:n_weights] += loss.alpha * weight
    return float(value + 0.5 * loss.alpha * (weight @ weight)), gradient


@dataclass(frozen=True)
class LinearOptimum:
    """Where the rounds ended.

    Parameters
    ----------
    parameters
        The best point seen, float64 (n_parameters,).
    value
        The objective there.
    n_rounds
        Sums over sites that it took.
    converged
        False: the rounds ran out first.
    """

    parameters: np.ndarray
    value: float
    n_rounds: int
    converged: bool


def pooled_optimum(
    loss: LinearLoss,
    sum_over_sites: Callable[[LinearLoss, np.ndarray], np.ndarray],
    n_cells: float,
    *,
    start: np.ndarray | None = None,
    max_rounds: int = 500,
    tolerance: float = 1e-4,
) -> LinearOptimum:
    """Minimise over all sites; each call of ``sum_over_sites`` is one round.

    Parameters
    ----------
    sum_over_sites
        From the loss and a point, the sum of the sites' :func:`site_sums`; usually under masks.
    n_cells
        Training cells of all sites.
    start
        Where to begin, (n_parameters,), such as a checkpoint; zero if not given.
    max_rounds
        No more sums than these; a hinge shares them out over its corners.
    tolerance
        Largest entry of the gradient that counts as none.
    """
    stages = [loss]
    if loss.kind == "hinge":
        # The hinge has corners, at which L-BFGS sticks: round ones, ever sharper.
        stages = [replace(loss, corner=corner) for corner in CORNERS]
    point = np.zeros(loss.n_parameters) if start is None else np.asarray(start, dtype=np.float64)
    n_rounds, value, converged = 0, np.inf, False
    for i, stage in enumerate(stages):
        if n_rounds == max_rounds:
            return LinearOptimum(point, value, n_rounds, converged=False)
        share = math.ceil((max_rounds - n_rounds) / (len(stages) - i))
        point, value, used, converged = _descend(
            stage, sum_over_sites, n_cells, point, share, tolerance
        )
        n_rounds += used
    return LinearOptimum(point, value, n_rounds, converged)


class _OutOfRounds(Exception):
    pass


def _descend(
    loss: LinearLoss,
    sum_over_sites: Callable[[LinearLoss, np.ndarray], np.ndarray],
    n_cells: float,
    start: np.ndarray,
    max_rounds: int,
    tolerance: float,
) -> tuple[np.ndarray, float, int, bool]:
    """The best point, its value, the rounds used, and whether the search ended by itself."""
    best, best_value, n_rounds = start, np.inf, 0

    def evaluate(point: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal best, best_value, n_rounds
        if n_rounds == max_rounds:
            # L-BFGS-B looks at its own limit between iterations, not within a line search.
            raise _OutOfRounds
        n_rounds += 1
        value, gradient = objective(loss, sum_over_sites(loss, point), n_cells, point)
        if value < best_value:
            best, best_value = point.copy(), value
        return value, gradient

    options = {"maxcor": 20, "gtol": tolerance, "ftol": 0.0, "maxiter": max_rounds, "maxfun": 10**9}
    try:
        minimize(evaluate, start, jac=True, method="L-BFGS-B", options=options)
    except _OutOfRounds:
        return best, best_value, n_rounds, False
    return best, best_value, n_rounds, True
