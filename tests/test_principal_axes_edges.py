"""Principal axes of awkward matrices: constant genes, few cells, sums from the ring."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA

from common.data.matrix import ExpressionMatrix
from common.panel import Scaling
from common.principal_axes import principal_axes, site_second_moments
from common.secure.fields import pack, unpack
from common.secure.ring import add
from tests.expression import CPU

CONSTANT = [0, 4, 59]


def matrix_of(n_cells: int, n_genes: int = 60) -> ExpressionMatrix:
    rng = np.random.default_rng(5)
    log = np.log1p(rng.poisson(rng.gamma(1.0, 2.0, n_genes), (n_cells, n_genes)))
    log[:, CONSTANT] = [0.0, 1.5, 2.25]
    log = log.astype(np.float32)
    sd = log.std(axis=0, ddof=1)
    # Not the cells' own mean, so that the axes are PCA's only if the covariance is centred.
    mean = log.mean(axis=0) - np.linspace(0, 1.2, n_genes, dtype=np.float32)
    return ExpressionMatrix(sparse.csr_matrix(log), Scaling(mean, np.where(sd > 1e-6, sd, 1)))


def axes_of(matrix: ExpressionMatrix, cuts: list[int], n_axes: int):
    """Axes from the sites' sums, through the ring as in a run."""
    rows = np.split(np.arange(matrix.shape[0]), cuts)
    sites = [ExpressionMatrix(matrix.sparse[r], matrix.scaling) for r in rows]
    sums = [site_second_moments(site, CPU) for site in sites]
    packed = [pack("principal_axes", site, len(sites)) for site in sums]
    vector = add([vector for vector, _ in packed])
    total = unpack("principal_axes", vector, packed[0][1], len(sites))
    return principal_axes(
        float(total["n_cells"]), total["sum_scaled"], total["second_moments"], n_axes
    )


# 5 axes of 60 genes: Lanczos; 20 axes: the full decomposition.
@pytest.mark.parametrize("n_axes", [5, 20])
def test_constant_genes_have_no_weight_and_the_rest_is_pca(n_axes):
    matrix = matrix_of(400)
    _, axes = axes_of(matrix, [9, 130, 131], n_axes)
    x = matrix.scaled(slice(None)).numpy().astype(np.float64)
    pca = PCA(n_axes, svd_solver="full").fit(x)
    np.testing.assert_allclose(axes[CONSTANT], 0, atol=1e-5)
    np.testing.assert_allclose(axes.T @ axes, np.eye(n_axes), atol=1e-9)
    signs = np.sign(np.sum(pca.components_ * axes.T, axis=1))
    np.testing.assert_allclose(axes * signs, pca.components_.T, atol=2e-4)


@pytest.mark.parametrize("n_cells", [2, 5, 9])
def test_fewer_cells_than_axes_give_the_rank(n_cells):
    matrix = matrix_of(n_cells)
    mean, axes = axes_of(matrix, [1], 12)
    x = matrix.scaled(slice(None)).numpy().astype(np.float64)
    assert axes.shape == (60, n_cells - 1)
    # The axes span all that varies.
    np.testing.assert_allclose((x - mean) @ axes @ axes.T, x - mean, atol=1e-4)


def test_no_variation_gives_no_axes():
    matrix = ExpressionMatrix(
        sparse.csr_matrix((6, 60), dtype=np.float32), Scaling(np.zeros(60), np.ones(60))
    )
    mean, axes = axes_of(matrix, [2], 3)
    assert axes.shape == (60, 0)
    assert not mean.any()
