"""The gradient of the loss over a share of one site's cells, a part of a step of all sites."""

import numpy as np
import torch
from torch import nn

from common.data.matrix import ExpressionMatrix
from common.device import memory_guard
from common.mini_batches import seeded
from common.presets import Training

# Cells that are computed on at a time.
CHUNK = 1024
# A site's least cells in a step, whatever the coordinator asks for: a gradient over few shows them.
LEAST_CELLS = 64
# Values beyond it are cut, so that a step fits the sum's fixed point, in 32 bits too. With the
# default settings the largest seen was 14.
LARGEST = 2.0**6


def cells_of_step(
    rows: np.ndarray, training: Training, n_cells: int, *, round_: int, seed: int
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
    training, round_, seed, device
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
    with seeded(device, seed, round_) as noise, memory_guard(device, CHUNK):
        model.to(device).train()
        model.zero_grad(set_to_none=True)
        loss_sum = torch.zeros((), device=device)
        for start in range(0, len(rows), CHUNK):
            x_BG = matrix.scaled(rows[start : start + CHUNK]).to(device, non_blocking=True)
            reconstruction, kl = model.losses(x_BG, noise)
            loss = (reconstruction + training.kl_weight * kl) * (len(x_BG) / len(rows))
            (loss * x_BG.shape[1]).backward()
            loss_sum += loss.detach()
    trained = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    step = {
        name: -gradient.clamp(-LARGEST, LARGEST).cpu().numpy() for name, gradient in trained.items()
    }
    model.zero_grad(set_to_none=True)
    return step, float(loss_sum)
