"""Bins of log1p CP10k: zero apart, codes as numpy digitises, edges chosen from summed counts."""

import numpy as np
import pytest
import scipy.sparse as sp

from common.boosting.bins import BinEdges, chosen_edges, public_grid, site_bin_counts
from common.errors import ConfigError, InputError
from tests.boosting_cells import cells


@pytest.mark.parametrize("n_edges", [1, 2, 32, 255])
def test_codes_are_numpy_digits_and_only_zero_is_in_bin_zero(n_edges):
    edges = BinEdges.alike(3, n_edges)
    grid = edges.grid
    # One count of a cell with a hundred million, the edges themselves, and beyond the last.
    values = np.concatenate([[np.log1p(1e4 / 1e8)], grid, np.nextafter(grid, 0)[1:], [9.21]])
    expression = sp.csr_matrix(np.tile(values.astype(np.float32)[:, None], (1, 3)))
    codes = edges.bin_cells(expression)
    assert codes.dtype == np.uint8
    expected = np.digitize(values.astype(np.float32), grid)
    np.testing.assert_array_equal(codes.toarray(), np.tile(expected[:, None], (1, 3)))
    assert codes.nnz == expression.nnz


def test_each_gene_has_its_own_edges():
    grid = public_grid(8)
    kept = np.random.default_rng(0).random((5, 8)) < 0.5
    kept[3] = False
    edges = BinEdges(grid, kept)
    expression = np.random.default_rng(1).uniform(0, 7, (40, 5)).astype(np.float32)
    codes = edges.bin_cells(sp.csr_matrix(expression)).toarray()
    for gene in range(5):
        expected = np.digitize(expression[:, gene], grid[kept[gene]])
        np.testing.assert_array_equal(codes[:, gene], expected)
    gene, threshold = edges.gene_and_threshold
    for index in range(5):
        mine = slice(*edges.starts[index : index + 2])
        assert (gene[mine] == index).all()
        np.testing.assert_array_equal(threshold[mine], grid[kept[index]])
    assert edges.n_bins == kept.sum() == len(gene)
    some = edges.of(np.array([1, 4]))
    np.testing.assert_array_equal(some.gene_and_threshold[1], threshold[np.isin(gene, [1, 4])])


def test_stored_zeros_are_dropped_and_the_matrix_is_left_alone():
    expression, _ = cells()
    stored = expression.copy()
    stored.data[::3] = 0
    edges = BinEdges.alike(expression.shape[1])
    before = stored.nnz
    codes = edges.bin_cells(stored)
    assert stored.nnz == before
    assert codes.nnz == np.count_nonzero(stored.data)
    np.testing.assert_array_equal(codes.toarray() > 0, stored.toarray() > 0)
    # Without stored zeros nothing is copied.
    assert np.shares_memory(edges.bin_cells(expression).indices, expression.indices)


def test_chosen_edges_hold_cells_enough_and_come_from_sums_over_sites():
    expression, _ = cells(n_cells=600, n_genes=30)
    grid = public_grid(64)
    counts = site_bin_counts(expression, grid)
    parts = [site_bin_counts(expression[rows], grid) for rows in (slice(0, 9), slice(9, None))]
    np.testing.assert_array_equal(sum(parts), counts)
    assert counts.sum() == expression.nnz
    edges = chosen_edges(counts, grid, n_edges=6, min_cells=20)
    codes = edges.bin_cells(expression).toarray()
    n_kept = edges.kept.sum(axis=1)
    assert n_kept.max() == 6
    for gene in range(30):
        in_bins = np.bincount(codes[:, gene], minlength=n_kept[gene] + 1)[1:]
        assert (in_bins >= 20).all()
        # A gene that enough cells express has zero apart from the rest.
        expressed = (expression.toarray()[:, gene] > 0).sum()
        assert in_bins.sum() == (expressed if expressed >= 20 else 0)
    assert n_kept[-1] == 0


def test_a_gene_with_too_few_cells_keeps_no_edge():
    counts = np.array([[4, 0, 5], [0, 10, 0], [9, 0, 10], [0, 0, 0]])
    kept = chosen_edges(counts, public_grid(3), n_edges=8, min_cells=10).kept
    # Of the third, the edge above nine cells would leave a bin of nine.
    np.testing.assert_array_equal(kept.sum(axis=1), [0, 1, 1, 0])


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_what_is_not_log1p_expression_is_refused(bad):
    expression, _ = cells()
    expression.data[7] = bad
    with pytest.raises(InputError, match="log1p CP10k"):
        BinEdges.alike(expression.shape[1]).bin_cells(expression)
    with pytest.raises(InputError, match="log1p CP10k"):
        site_bin_counts(expression, public_grid())


def test_other_genes_and_too_many_edges_are_refused():
    with pytest.raises(InputError, match="12 genes, and bin edges for 5"):
        BinEdges.alike(5).bin_cells(cells()[0])
    with pytest.raises(ConfigError, match="1 to 255"):
        public_grid(256)
