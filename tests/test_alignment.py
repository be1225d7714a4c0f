"""Equal second moments: the map between two normals, against its defining properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.alignment import PRIOR_CELLS, aligning_map, covariance, symmetric, upper
from common.correction import correct_latent
from common.reference import Reference, packed, unpacked


def spread(dim, seed):
    root = np.random.default_rng(seed).normal(size=(dim, dim))
    return root @ root.T + 0.1 * np.eye(dim)


def cells(matrix, n, seed):
    return np.random.default_rng(seed).multivariate_normal(np.ones(len(matrix)), matrix, n)


def test_many_cells_get_the_references_covariance():
    reference = spread(4, 0)
    latent = cells(spread(4, 1), 200_000, 2)
    moved = latent @ aligning_map(latent, reference).T
    np.testing.assert_allclose(covariance(moved), reference, rtol=0.01, atol=0.01)


def test_it_moves_least():
    """Optimal transport: the map is symmetric and positive; a turned one of the same effect is not.

    Its squared distance is Bures', tr C + tr R - 2 tr (C^(1/2) R C^(1/2))^(1/2).
    """
    from scipy.linalg import sqrtm

    reference, latent = spread(3, 0), cells(spread(3, 1), 500_000, 2)
    move = aligning_map(latent, reference)
    np.testing.assert_allclose(move, move.T, atol=1e-9)
    assert np.linalg.eigvalsh(move).min() > 0
    own, centred = covariance(latent), latent - latent.mean(axis=0)
    root = sqrtm(own).real
    least = np.trace(own) + np.trace(reference) - 2 * np.trace(sqrtm(root @ reference @ root).real)
    moved = ((centred @ move.T - centred) ** 2).sum(axis=1).mean()
    assert moved == pytest.approx(least, rel=2e-3)


def test_few_cells_are_hardly_stretched():
    reference = np.eye(5)
    latent = 0.01 * cells(np.eye(5), 4, 0)
    stretched = np.linalg.eigvalsh(aligning_map(latent, reference))
    assert stretched.max() < (1 + 4 / PRIOR_CELLS) ** 0.5 + 1e-9
    np.testing.assert_array_equal(aligning_map(latent[:1], reference), np.eye(5))


@pytest.mark.parametrize("reference", [np.zeros((3, 3)), np.diag([1.0, 0.0, 0.0])])
def test_flat_references_give_finite_maps(reference):
    latent = np.zeros((40, 3))
    assert np.isfinite(aligning_map(latent, reference)).all()
    assert np.isfinite(aligning_map(cells(np.eye(3), 40, 0), reference)).all()


@given(st.integers(1, 6), st.integers(0, 99))
def test_a_triangle_comes_back_as_the_matrix(dim, seed):
    matrix = spread(dim, seed)
    assert len(upper(matrix)) == dim * (dim + 1) // 2
    np.testing.assert_array_equal(symmetric(upper(matrix)), (matrix + matrix.T) / 2)


def test_references_come_back_from_arrays():
    references = {"B": Reference(np.ones(2), spread(2, 0)), "T": Reference(np.zeros(2), np.eye(2))}
    again = unpacked(list(references), packed(references))
    for name, reference in references.items():
        np.testing.assert_array_equal(again[name].mean, reference.mean)
        np.testing.assert_allclose(again[name].covariance, reference.covariance)
    means = {"B": Reference(np.ones(2))}
    assert unpacked(["B"], packed(means))["B"].covariance is None
    assert unpacked([], packed({})) == {}


def test_batches_of_unequal_spread_become_alike():
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(size=(400, 2)), rng.normal(size=(400, 2)) * [5.0, 0.5] + 7
    latent = np.concatenate([narrow, wide]).astype(np.float32)
    batches, types = np.repeat(["a", "b"], 400), np.full(800, "T", dtype=object)
    plain, _ = correct_latent(latent, batches, types, {"T": Reference(np.zeros(2))})
    aligned, _ = correct_latent(latent, batches, types, {"T": Reference(np.zeros(2), np.eye(2))})
    assert np.std(plain[400:], axis=0) == pytest.approx([5.0, 0.5], rel=0.1)
    assert np.std(aligned[400:], axis=0) == pytest.approx([1.0, 1.0], rel=0.1)
    for corrected in (plain, aligned):
        np.testing.assert_allclose(corrected[400:].mean(axis=0), 0, atol=1e-5)
