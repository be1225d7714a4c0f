"""The gradient of the loss over a share of one site's cells, a part of a step of all sites."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import nn

from common.data.matrix import ExpressionMatrix
from common.device import memory_guard
from common.mini_batches import seeded
from common.precision import FLOAT32, Precision
from common.presets import Training

# The mean loss of some cells, by their row numbers; it may draw noise.
LossOf = Callable[[np.ndarray, torch.Generator], torch.Tensor]

# Cells that are computed on at a time.
CHUNK = 1024
# A site's least cells in a step, whatever the coordinator asks for: a gradient over few shows them.
LEAST_CELLS = 64
# Values beyond it are cut, so that a step fits the sum's fixed point, in 32 bits too. With the
# default settings the largest seen was 14.
LARGEST = 2.0**6


class Steps(Protocol):
    """What a training says of steps of all sites."""

    batch_size: int


def cells_of_step(
    rows: np.ndarray, training: Steps, n_cells: int, *, round_: int, seed: int
) -> np.ndarray:
    """This site's cells of a round's step.

    Parameters
    ----------
    rows
        Its training cells, at least 1.
    training, n_cells
        Its ``batch_size`` is of all sites, which have so many cells: each gives the same share,
        and at least ``LEAST_CELLS``, or all.
    """
    n = max(LEAST_CELLS, round(len(rows) * min(1.0, training.batch_size / n_cells)))
    if n >= len(rows):
        return rows
    return np.random.default_rng([seed, round_]).permutation(rows)[:n]


def descent(
    model: nn.Module,
    matrix: ExpressionMatrix,
    rows: np.ndarray,
    training: Training,
    *,
    round_: int,
    seed: int,
    device: torch.device,
    precision: Precision = FLOAT32,
) -> tuple[dict[str, np.ndarray], float]:
    """Minus the mean gradient over cells of the loss summed over genes.

    Parameters
    ----------
    model
        Has ``losses(x, noise)``; moved to ``device``, its values are kept.
    matrix
        The site's expression.
    rows
        Cells.
    training, round_, seed, device, precision
        See :func:`common.training.fit`.

    Returns
    -------
    step
        By name of each trained parameter, cut to +-``LARGEST``; not finite where training diverged.
    loss
        Mean loss per cell and gene.

    Raises
    ------
    DeviceError
        The device ran out of memory.
    """

    def loss_of(cells: np.ndarray, noise: torch.Generator) -> torch.Tensor:
        x_BG = matrix.scaled(cells).to(device, non_blocking=True)
        reconstruction, kl = model.losses(x_BG, noise)
        return reconstruction + training.kl_weight * kl

    how = {"round_": round_, "seed": seed, "device": device, "precision": precision}
    return mean_descent(model, rows, loss_of, weight=matrix.shape[1], **how)


def mean_descent(
    model: nn.Module,
    rows: np.ndarray,
    loss_of: LossOf,
    *,
    round_: int,
    seed: int,
    device: torch.device,
    weight: float = 1.0,
    precision: Precision = FLOAT32,
) -> tuple[dict[str, np.ndarray], float]:
    """Minus the gradient of the mean over cells of any loss, times ``weight``.

    Parameters
    ----------
    model
        Moved to ``device``, its values are kept.
    rows
        Cells.
    loss_of
        Their mean loss, with the model's gradient; asked for at most ``CHUNK`` cells at a time.
    round_, seed, device, precision
        See :func:`common.training.fit`.

    Returns
    -------
    step, loss
        As of :func:`descent`; the loss without ``weight``.

    Raises
    ------
    DeviceError
        The device ran out of memory.
    """
    with seeded(device, seed, round_) as noise, memory_guard(device, CHUNK):
        model.to(device).train()
        model.zero_grad(set_to_none=True)
        loss_sum = torch.zeros((), device=device)
        for start in range(0, len(rows), CHUNK):
            cells = rows[start : start + CHUNK]
            with precision.on(device):
                mean = loss_of(cells, noise)
            loss = mean * (len(cells) / len(rows))
            (loss * weight).backward()
            loss_sum += loss.detach()
    trained = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    step = {
        name: -gradient.clamp(-LARGEST, LARGEST).cpu().numpy() for name, gradient in trained.items()
    }
    model.zero_grad(set_to_none=True)
    return step, float(loss_sum)
