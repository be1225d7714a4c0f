"""Local training of a classifier on one site's cells, its logits, and its validation loss."""

from functools import partial

import numpy as np
import torch
from torch import nn

from common.classification.class_weights import class_weights, logit_offsets
from common.classification.probabilities import require_finite
from common.data.matrix import ExpressionMatrix
from common.device import memory_guard
from common.errors import InputError
from common.gradient import mean_descent
from common.mini_batches import epochs, seeded
from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.classifier import Classifier
from common.models.classifiers.recipe import ClassifierTraining
from common.precision import FLOAT32, Precision
from common.proximal import ProximalTerm
from common.training import EVALUATION_CELLS, learning_rate_at

OPTIMIZERS = {
    "adam": partial(torch.optim.Adam, fused=True),
    "sgd": partial(torch.optim.SGD, fused=True),
    "rmsprop": torch.optim.RMSprop,
}


def rate_at(training: ClassifierTraining, round_: int) -> float:
    """The learning rate of a round (counted from 1)."""
    if training.schedule != "exponential":
        return learning_rate_at(training, round_)
    progress = (round_ - 1) / max(training.rounds - 1, 1)
    return training.learning_rate * training.final_share**progress


def class_balance(
    training: ClassifierTraining, site_counts: np.ndarray, pooled_counts: np.ndarray
) -> ClassBalance:
    """The weights and offsets that a recipe asks for at a site.

    Parameters
    ----------
    site_counts, pooled_counts
        Training cells of each class, at the site and over all sites, (n_classes,).
    """
    weights = offsets = None
    if training.class_weights != "none":
        weights = class_weights(pooled_counts, training.class_weights)
    if training.logit_adjustment:
        offsets = logit_offsets(
            site_counts,
            training.logit_adjustment,
            pooled_counts if training.keep_frequencies else None,
            pseudo_count=training.pseudo_count,
        )
    as_tensor = [v if v is None else torch.from_numpy(v).float() for v in (weights, offsets)]
    return ClassBalance(*as_tensor)


def fit_classifier(
    model: Classifier,
    matrix: ExpressionMatrix,
    labels: np.ndarray,
    rows: np.ndarray,
    training: ClassifierTraining,
    *,
    round_: int,
    seed: int,
    device: torch.device,
    balance: ClassBalance | None = None,
    proximal_mu: float = 0.0,
    precision: Precision = FLOAT32,
) -> float:
    """Train ``model`` in place for one round's local epochs.

    Randomness depends on ``seed`` and ``round_`` alone, as in :func:`common.training.fit`.

    Parameters
    ----------
    model
        Moved to ``device``.
    matrix
        The site's expression.
    labels
        Class of each cell, an integer (n_cells,); below 0 without a label.
    rows
        Training cells, each with a label.
    training, round_, seed, device
        What to do, where.
    balance
        See :func:`class_balance`; none, every cell counts alike.
    proximal_mu
        FedProx's mu; see :class:`common.proximal.ProximalTerm`. The loss is told without the term.
    precision
        Of the steps; see :class:`common.precision.Precision`.

    Returns
    -------
    loss
        Mean loss per cell over the last epoch, every term in it.

    Raises
    ------
    InputError
        There is no training cell, or one without a label of the vocabulary or whose class the
        balance leaves out.
    DeviceError
        The device ran out of memory.
    """
    balance = balance or ClassBalance()
    _check_labels(labels, rows, model.n_classes, balance)
    guard = memory_guard(device, training.batch_size, "batch-size or n-top-genes")
    with seeded(device, seed, round_) as noise, guard:
        model.to(device).train()
        balance, y = balance.to(device), torch.from_numpy(labels.astype(np.int64))
        proximal = ProximalTerm(model, proximal_mu)
        optimizer = OPTIMIZERS[training.optimizer](model.parameters(), lr=rate_at(training, round_))
        loss_sum = torch.zeros((), device=device)
        for mini_batches in epochs(rows, training, seed=seed, round_=round_):
            loss_sum.zero_()
            for batch in mini_batches:
                x_BG = _expression(matrix, batch, training).to(device, non_blocking=True)
                with precision.on(device):
                    terms = model.losses(x_BG, y[batch].to(device), balance, noise)
                loss = sum(terms.values())
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if training.gradient_norm:
                    nn.utils.clip_grad_norm_(model.parameters(), training.gradient_norm)
                proximal.add_gradient()
                optimizer.step()
                loss_sum += loss.detach() * len(batch)
        return float(loss_sum) / len(rows)


def classifier_descent(
    model: Classifier,
    matrix: ExpressionMatrix,
    labels: np.ndarray,
    rows: np.ndarray,
    training: ClassifierTraining,
    *,
    round_: int,
    seed: int,
    device: torch.device,
    balance: ClassBalance | None = None,
    precision: Precision = FLOAT32,
) -> tuple[dict[str, np.ndarray], float]:
    """Minus the mean gradient of the loss over some training cells, and the loss.

    Parameters and errors are those of :func:`fit_classifier`; what is returned, of
    :func:`common.gradient.mean_descent`.
    """
    balance = (balance or ClassBalance()).to(device)
    _check_labels(labels, rows, model.n_classes, balance)
    y = torch.from_numpy(labels.astype(np.int64))

    def loss_of(cells: np.ndarray, noise: torch.Generator) -> torch.Tensor:
        x_BG = _expression(matrix, cells, training).to(device, non_blocking=True)
        return sum(model.losses(x_BG, y[cells].to(device), balance, noise).values())

    how = {"round_": round_, "seed": seed, "device": device, "precision": precision}
    return mean_descent(model, rows, loss_of, **how)


@torch.no_grad()
def class_logits(
    model: Classifier,
    matrix: ExpressionMatrix,
    rows: np.ndarray,
    training: ClassifierTraining,
    device: torch.device,
) -> np.ndarray:
    """Logits of some cells without dropout and without offsets, float32 (n_rows, n_classes).

    Raises
    ------
    DeviceError
        The device ran out of memory.
    """
    model.to(device).eval()
    logits = np.empty((len(rows), model.n_classes), dtype=np.float32)
    with memory_guard(device, EVALUATION_CELLS):
        for start in range(0, len(rows), EVALUATION_CELLS):
            batch = rows[start : start + EVALUATION_CELLS]
            x_BG = _expression(matrix, batch, training).to(device)
            logits[start : start + len(batch)] = model(x_BG).cpu().numpy()
    return logits


def loss_sum(
    model: Classifier,
    logits: np.ndarray,
    truth: np.ndarray,
    weights: np.ndarray | None = None,
) -> float:
    """Sum over a site's validation cells of the loss by their labels, without a penalty.

    What else a validation sums comes from the same logits:
    :func:`common.classification.site_sums.site_sums`.

    Parameters
    ----------
    logits
        Of :func:`class_logits`, (n_cells, n_classes).
    truth
        (n_cells,) classes; cells without one are not summed.
    weights
        Of the classes, (n_classes,); the site's own frequencies are not taken out.

    Raises
    ------
    UpdateError
        A logit is not finite.
    """
    require_finite(logits)
    classed = truth >= 0
    if not classed.any():
        return 0.0
    terms = model.label_losses(
        torch.from_numpy(logits[classed]).double(),
        torch.from_numpy(truth[classed].astype(np.int64)),
        ClassBalance(None if weights is None else torch.from_numpy(weights).double()),
    )
    terms.pop("penalty", None)
    return sum(map(float, terms.values())) * int(classed.sum())


def _expression(
    matrix: ExpressionMatrix, rows: np.ndarray, training: ClassifierTraining
) -> torch.Tensor:
    return matrix.scaled(rows) if training.scaled else torch.from_numpy(matrix.log(rows))


def _check_labels(
    labels: np.ndarray,
    rows: np.ndarray,
    n_classes: int,
    balance: ClassBalance,
) -> None:
    if not len(rows):
        raise InputError(
            "the site has no training cell with an agreed label: check cell-type-key, or let the "
            "site take part in evaluation alone"
        )
    y = labels[rows]
    wrong = (y < 0) | (y >= n_classes)
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum()):,} of {len(rows):,} cells have no label of the agreed vocabulary: "
            "train on labelled cells alone"
        )
    if balance.offsets is not None:
        left_out = ~balance.offsets.isfinite().numpy()[y]
        if left_out.any():
            raise InputError(
                f"{int(left_out.sum()):,} of {len(rows):,} cells are of a class that the site's "
                "counts have none of: count the training cells again"
            )
