"""Pooled principal axes from summed second moments: PCA of cells that are never pooled."""

import contextlib

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
    upper = _upper(n_genes)
    second = np.zeros(n_genes * (n_genes + 1) // 2)
    for rows in matrix.chunks(4096):
        x_BG = matrix.scaled(rows).to(device)
        # Single precision within a chunk, double across chunks.
        second += _upper_products(x_BG)[upper]
        total += x_BG.sum(dim=0).cpu()
    return {
        "n_cells": np.float64(n_cells),
        "sum_scaled": total.numpy(),
        "second_moments": second,
    }


def _upper(n_genes: int) -> np.ndarray:
    """The upper triangle with its diagonal, bool (n_genes, n_genes)."""
    return np.tri(n_genes, dtype=bool).T


def _upper_products(x_BG: torch.Tensor) -> np.ndarray:
    """x^T x, of which the upper triangle counts: BLAS can do half the work for it."""
    if x_BG.device.type != "cpu":
        return (x_BG.T @ x_BG).cpu().numpy()
    from scipy.linalg.blas import ssyrk

    # BLAS fills the lower triangle by columns, which is the upper one by rows.
    return ssyrk(1.0, x_BG.numpy().T, lower=1).T


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
    upper[_upper(n_genes)] = second_moments / n_cells
    values, vectors = _leading_eigenvectors(upper, mean, n_axes)
    # Below it lies the rounding of single-precision products.
    floor = 1e-6 * np.trace(upper)
    n_axes = min(n_axes, int((values > floor).sum()))
    axes = vectors[:, :n_axes]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(n_axes)]
    return mean, axes * np.sign(largest)


def _leading_eigenvectors(
    upper: np.ndarray, mean: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalues, falling, of the symmetric matrix of ``upper`` less ``mean mean^T``.

    With their vectors, at least ``n`` of them where there are.
    """
    from scipy.linalg.blas import dsymv
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    def product(x: np.ndarray) -> np.ndarray:
        # The upper triangle by rows is the lower one by columns; the other half is not read.
        return dsymv(1.0, upper.T, x, lower=1) - mean * (mean @ x)

    n_genes, found = len(mean), None
    if 4 * n < n_genes:
        covariance = LinearOperator((n_genes, n_genes), matvec=product, dtype=np.float64)
        # It cannot start where the covariance is zero.
        with contextlib.suppress(ArpackError):
            found = eigsh(covariance, n, which="LA", v0=np.ones(n_genes))
    if found is None:
        found = np.linalg.eigh(upper - np.outer(mean, mean), UPLO="U")
    values, vectors = found
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]
