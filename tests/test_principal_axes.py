"""Pooled principal axes from sums equal PCA of the pooled cells."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA

from common.data.matrix import ExpressionMatrix
from common.principal_axes import principal_axes, site_second_moments
from common.secure.fields import pack, unpack
from common.secure.ring import add
from tests.expression import CPU, small_matrix


def pooled_axes(matrix: ExpressionMatrix, cuts: list[int], n_axes: int):
    """Mean and axes from the sites' sums, through the ring as in a run."""
    rows = np.split(np.arange(matrix.shape[0]), cuts)
    sites = [ExpressionMatrix(matrix.sparse[r], matrix.scaling) for r in rows]
    sums = [site_second_moments(site, CPU) for site in sites]
    packed = [pack("principal_axes", s, len(sums)) for s in sums]
    total = unpack("principal_axes", add([v for v, _ in packed]), packed[0][1], len(sums))
    return principal_axes(
        float(total["n_cells"]), total["sum_scaled"], total["second_moments"], n_axes
    )


# 60 genes: Lanczos; 20 genes: the full decomposition.
@pytest.mark.parametrize("n_genes", [20, 60])
def test_equal_to_pca(n_genes):
    matrix = small_matrix(n_cells=300, n_genes=n_genes)
    mean, axes = pooled_axes(matrix, [20, 250], 6)
    x = matrix.scaled(slice(None)).numpy().astype(np.float64)
    pca = PCA(6, svd_solver="full").fit(x)
    np.testing.assert_allclose(mean, x.mean(axis=0), atol=1e-5)
    assert axes.shape == (n_genes, 6)
    np.testing.assert_allclose(np.abs(pca.components_ @ axes), np.eye(6), atol=1e-3)
    explained = ((x - x.mean(axis=0)) @ axes).var(axis=0, ddof=1)
    np.testing.assert_allclose(explained, pca.explained_variance_, rtol=1e-6)
    np.testing.assert_allclose(axes.T @ axes, np.eye(6), atol=1e-10)
    assert (axes[np.abs(axes).argmax(axis=0), range(6)] > 0).all()


def test_how_cells_are_dealt_to_sites_does_not_matter():
    matrix = small_matrix(n_cells=300, n_genes=60)
    one, many = pooled_axes(matrix, [], 5), pooled_axes(matrix, [7, 90, 91], 5)
    np.testing.assert_allclose(one[1], many[1], atol=1e-5)


def test_fewer_cells_than_axes_give_fewer_axes():
    matrix = small_matrix(n_cells=4, n_genes=60)
    _, axes = pooled_axes(matrix, [2], 10)
    assert axes.shape == (60, 3)


@pytest.mark.parametrize("n_genes", [20, 60])
def test_constant_genes_have_no_part_in_any_axis(n_genes):
    matrix = small_matrix(n_cells=200, n_genes=n_genes)
    log = matrix.sparse.toarray()
    log[:, [0, 7]] = 0.0, 1.5
    constant = ExpressionMatrix(sparse.csr_matrix(log), matrix.scaling)
    mean, axes = pooled_axes(constant, [40], 4)
    assert np.abs(axes[[0, 7]]).max() < 1e-6
    x = constant.scaled(slice(None)).numpy().astype(np.float64)
    np.testing.assert_allclose(mean, x.mean(axis=0), atol=1e-5)
    explained = ((x - x.mean(axis=0)) @ axes).var(axis=0, ddof=1)
    np.testing.assert_allclose(
        explained, PCA(4, svd_solver="full").fit(x).explained_variance_, rtol=1e-6
    )


def test_cells_that_are_all_alike_have_no_axis():
    matrix = small_matrix(n_cells=60, n_genes=20)
    alike = ExpressionMatrix(matrix.sparse[[3] * 50], matrix.scaling)
    mean, axes = pooled_axes(alike, [10], 5)
    assert axes.shape == (20, 0)
    np.testing.assert_allclose(mean, alike.scaled(slice(0, 1)).numpy()[0], atol=1e-5)
