"""Local training of a model on one site's cells, and its validation loss."""

import math

import numpy as np
import torch
from torch import nn

from common.data.matrix import ExpressionMatrix
from common.device import memory_guard
from common.mini_batches import epochs, seeded
from common.precision import FLOAT32, Precision
from common.presets import Training
from common.proximal import ProximalTerm

EVALUATION_CELLS = 1024


def learning_rate_at(training: Training, round_: int) -> float:
    """The learning rate of a round (counted from 1)."""
    if training.schedule == "constant":
        return training.learning_rate
    progress = (round_ - 1) / max(training.rounds, 1)
    return training.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def fit(
    model: nn.Module,
    matrix: ExpressionMatrix,
    rows: np.ndarray,
    training: Training,
    *,
    round_: int,
    seed: int,
    device: torch.device,
    proximal_mu: float = 0.0,
    precision: Precision = FLOAT32,
) -> float:
    """Train ``model`` in place for one round's local epochs.

    Randomness depends on ``seed`` and ``round_`` alone, so that sites with the same cells make the
    same steps; see ``common/mini_batches.py``.

    Parameters
    ----------
    model
        Has ``losses(x, noise)``; moved to ``device``.
    matrix
        The site's expression.
    rows
        Training cells, at least 2.
    training, round_, seed, device
        What to do, where.
    proximal_mu
        FedProx's mu; see :class:`common.proximal.ProximalTerm`. The loss is told without the term.
    precision
        Of the steps; see :class:`common.precision.Precision`.

    Returns
    -------
    loss
        Mean loss per cell over the last epoch.

    Raises
    ------
    DeviceError
        The device ran out of memory.
    """
    guard = memory_guard(device, training.batch_size, "batch-size or n-top-genes")
    with seeded(device, seed, round_) as noise, guard:
        model.to(device).train()
        proximal = ProximalTerm(model, proximal_mu)
        optimizer = torch.optim.Adam(
            model.parameters(), lr=learning_rate_at(training, round_), fused=True
        )
        loss_sum = torch.zeros((), device=device)
        for mini_batches in epochs(rows, training, seed=seed, round_=round_):
            loss_sum.zero_()
            for batch in mini_batches:
                x_BG = matrix.scaled(batch).to(device, non_blocking=True)
                with precision.on(device):
                    reconstruction, kl = model.losses(x_BG, noise)
                loss = reconstruction + training.kl_weight * kl
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                proximal.add_gradient()
                optimizer.step()
                loss_sum += loss.detach() * len(batch)
        return float(loss_sum) / len(rows)


@torch.no_grad()
def evaluation_loss(
    model: nn.Module,
    matrix: ExpressionMatrix,
    rows: np.ndarray,
    training: Training,
    device: torch.device,
) -> float:
    """Sum over cells of the loss at the posterior mean, without dropout."""
    model.to(device).eval()
    total = 0.0
    with memory_guard(device, EVALUATION_CELLS):
        for start in range(0, len(rows), EVALUATION_CELLS):
            batch = rows[start : start + EVALUATION_CELLS]
            reconstruction, kl = model.losses(matrix.scaled(batch).to(device), None)
            total += float(reconstruction + training.kl_weight * kl) * len(batch)
    return total
