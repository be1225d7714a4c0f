"""The output `residual`: each cell's own signal kept, and what the network cannot encode corrected.

r = x - decode(z), in log1p CP10k, is what a cell keeps beside its reconstruction: its own signal,
and of a batch effect what the network does not encode, means and spreads of single genes as depth
and protocol make them. For gene g of a cell of type t in batch b, bars being means over (b, t),

    x' = mean' + decode(z') - mean decode(z') + s (r - mean r),
    mean' = mean x + w d,    d = mean decode(z') + reference mean_t - mean x,
    w = max(0, 1 - 2 se^2 / d^2),    s = sqrt(reference variance_t / variance r).

The reference's mean and variance are averages of those of r over the type's large batches; se is
the standard error of mean x, and the reference's counts as much. A batch's mean is so moved only as
far as the two are known to differ. Variances are shrunk towards the reference's, which counts
as 25 cells. Within a batch and type x' is linear in r gene by gene: how genes go together in it
stays as it was.

References
----------
Johnson, Li, Rabinovic 2007 (ComBat: location and scale, shrunk), doi:10.1093/biostatistics/kxj037;
Efron & Morris 1973 (shrinking a mean by its error, positive part), doi:10.2307/2284155.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from common.coding import CHUNK, Adjustment, decoded_log
from common.correction import group_rows
from common.data.matrix import ExpressionMatrix
from common.device import memory_guard
from common.reference import Reference, Remainder

# Squared errors in a difference of two means: the batch's, and as much for the reference's.
ERRORS = 2
# A batch's own variance counts as its cells, the reference's as so many.
PRIOR_CELLS = 25


def remainder_moments(
    model: nn.Module,
    matrix: ExpressionMatrix,
    latent: np.ndarray,
    groups: Sequence[np.ndarray],
    device: torch.device,
) -> list[Remainder]:
    """Mean and variance of r over the cells of each group, float64.

    Parameters
    ----------
    latent
        z, (n_cells, latent_dim).
    groups
        Row numbers, at least one each.
    """
    model.to(device).eval()

    def remainder(rows: np.ndarray) -> np.ndarray:
        return matrix.log(rows) - decoded_log(model, matrix, latent[rows], device)

    with memory_guard(device, CHUNK):
        return [Remainder(*_moments(remainder, rows)) for rows in groups]


def _moments(
    values: Callable[[np.ndarray], np.ndarray], rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance, (n_genes,) each, of ``values(rows)``, (n_rows, n_genes)."""
    total = squares = origin = np.zeros(1)
    for first in range(0, len(rows), CHUNK):
        part = values(rows[first : first + CHUNK]).astype(np.float64)
        if not first:
            # Squares about the first cells' mean: precise where a mean is large.
            origin = part.mean(axis=0)
        part -= origin
        total = total + part.sum(axis=0)
        squares = squares + np.einsum("cg,cg->g", part, part)
    mean = total / len(rows)
    return origin + mean, np.maximum(squares / len(rows) - mean**2, 0)


def large_groups(
    batches: np.ndarray, cell_types: np.ndarray, types: Sequence[str], least: int
) -> list[tuple[int, np.ndarray]]:
    """The place of its type in ``types`` and the rows of each batch that has ``least`` cells."""
    groups = group_rows(batches, cell_types)
    return [
        (place, rows)
        for place, name in enumerate(types)
        for (_, cell_type), rows in groups.items()
        if cell_type == name and len(rows) >= least
    ]


def with_own_remainders(
    model: nn.Module,
    matrix: ExpressionMatrix,
    latent: np.ndarray,
    batches: np.ndarray,
    cell_types: np.ndarray,
    references: dict[str, Reference],
    alone: Sequence[str],
    least: int,
    device: torch.device,
) -> dict[str, Reference]:
    """The references, those of types that this site alone holds with its own large batches'."""
    types = [name for name in alone if name in references]
    groups = large_groups(batches, cell_types, types, least)
    moments = remainder_moments(model, matrix, latent, [rows for _, rows in groups], device)
    made = dict(references)
    for place, name in enumerate(types):
        own = [m for (which, _), m in zip(groups, moments, strict=True) if which == place]
        mean, variance = (
            np.mean([getattr(m, key) for m in own], axis=0) for key in ("mean", "variance")
        )
        made[name] = replace(references[name], remainder=Remainder(mean, variance))
    return made


def adjustment(
    model: nn.Module,
    matrix: ExpressionMatrix,
    latent: np.ndarray,
    corrected: np.ndarray,
    batches: np.ndarray,
    cell_types: np.ndarray,
    references: dict[str, Reference],
    device: torch.device,
    shifted_as: np.ndarray | None = None,
) -> Adjustment:
    """How x' of a site's cells follows from decode(z') and r.

    Cells whose type has no reference with a remainder stay as they are; ``latent`` and
    ``corrected`` are z and z', (n_cells, latent_dim). Labels are as of
    :func:`~common.correction.correct_latent`: ``cell_types`` make the moments of a group, and
    ``shifted_as`` says which cells are moved by them.
    """
    shifted_as = cell_types if shifted_as is None else shifted_as
    known = {
        key: rows
        for key, rows in group_rows(batches, cell_types).items()
        if key[1] in references and references[key[1]].remainder is not None
    }
    groups = [(references[name].remainder, rows) for (_, name), rows in known.items()]
    owns = remainder_moments(model, matrix, latent, list(known.values()), device)

    def decoded(rows: np.ndarray) -> np.ndarray:
        return decoded_log(model, matrix, corrected[rows], device)

    group_of_cell = np.full(len(latent), -1)
    scale, offset = np.zeros((2, len(groups), matrix.shape[1]), np.float32)
    for number, (batch, name) in enumerate(known):
        group_of_cell[(batches == batch) & (shifted_as == name)] = number
    for number, ((reference, rows), own) in enumerate(zip(groups, owns, strict=True)):
        n_cells = len(rows)
        mean, variance = _moments(matrix.log, rows)
        with memory_guard(device, CHUNK):
            after, _ = _moments(decoded, rows)
        shrunk = (n_cells * own.variance + PRIOR_CELLS * reference.variance) / (
            n_cells + PRIOR_CELLS
        )
        # A few cells may be alike by chance.
        error = np.maximum(variance, shrunk) / n_cells
        kept = known_share(after + reference.mean - mean, error)
        ratio = np.divide(reference.variance, shrunk, out=np.ones_like(shrunk), where=shrunk > 0)
        scale[number] = np.sqrt(ratio)
        moved = mean + kept * (after + reference.mean - mean)
        offset[number] = moved - after - np.sqrt(ratio) * own.mean
    return Adjustment(group_of_cell, scale, offset)


def known_share(difference: np.ndarray, squared_error: np.ndarray) -> np.ndarray:
    """How much of a difference is more than its error, 0 to 1: w above."""
    squared = difference**2
    noise = ERRORS * squared_error
    share = np.divide(noise, squared, out=np.ones_like(squared), where=squared > 0)
    return np.maximum(0, 1 - share)
