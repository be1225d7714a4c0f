"""Pooled principal axes from summed second moments: PCA of cells that are never pooled."""

import numpy as np
import torch

from common.data.matrix import ExpressionMatrix


def site_second_moments(matrix: ExpressionMatrix, device: torch.device) -> dict[str, np.ndarray]:
    """One site's contribution.

    Returns
    -------
    sums
        ``n_cells``; ``sum_scaled`` (n_genes,); ``second_moments``, the upper triangle by rows of
        the sum of x x^T over cells, (n_genes (n_genes + 1) / 2,). Float64; work and memory are
        quadratic in genes, linear in cells.
    """
    n_cells, n_genes = matrix.shape
    total = torch.zeros(n_genes, dtype=torch.float64)
    second = torch.zeros(n_genes, n_genes, dtype=torch.float64)
    for rows in matrix.chunks():
        x_BG = matrix.scaled(rows).to(device)
        # Single precision within a chunk, double across chunks.
        second += (x_BG.T @ x_BG).cpu()
        total += x_BG.sum(dim=0).cpu()
    return {
        "n_cells": np.float64(n_cells),
        "sum_scaled": total.numpy(),
        "second_moments": second.numpy()[np.triu_indices(n_genes)],
    }


def principal_axes(
    n_cells: float, total: np.ndarray, second_moments: np.ndarray, n_axes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and leading eigenvectors of the pooled covariance.

    Parameters
    ----------
    n_cells, total, second_moments
        Sums over sites of :func:`site_second_moments`.
    n_axes
        Axes wanted; fewer if the covariance has a lower rank.

    Returns
    -------
    mean
        (n_genes,).
    axes
        (n_genes, <= n_axes), orthonormal, by falling variance; each axis's largest component is
        positive, so that the sign does not depend on the linear-algebra library.
    """
    n_genes = len(total)
    mean = total / n_cells
    upper = np.zeros((n_genes, n_genes))
    upper[np.triu_indices(n_genes)] = second_moments / n_cells
    covariance = upper + np.triu(upper, 1).T - np.outer(mean, mean)
    values, vectors = torch.linalg.eigh(torch.from_numpy(covariance))
    values, vectors = values.numpy()[::-1], vectors.numpy()[:, ::-1]
    n_axes = min(n_axes, int((values > 1e-9 * values[0]).sum()))
    axes = vectors[:, :n_axes]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(n_axes)]
    return mean, axes * np.sign(largest)
