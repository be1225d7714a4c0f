"""Federated gene selection and scaling equal scanpy on the concatenated cells."""

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from common.data.hvg import highly_variable
from common.data.matrix import ExpressionMatrix
from common.data.moments import GeneMoments, site_sums
from common.data.normalise import library_sizes, log1p_cp10k
from common.panel import Panel
from common.secure.fields import pack, unpack
from common.secure.ring import add

N_CELLS, N_GENES, N_TOP = 700, 400, 120


@pytest.fixture(scope="module")
def counts() -> sparse.csr_matrix:
    rng = np.random.default_rng(3)
    rate = rng.gamma(0.4, 2.0, N_GENES) * rng.lognormal(0, 0.6, (N_CELLS, 1))
    rate = rate * rng.gamma(1.5, 1 / 1.5, (N_CELLS, N_GENES))
    drawn = rng.poisson(rate)
    drawn[:, 17] = 0
    drawn[:, 18] = 1
    return sparse.csr_matrix(drawn, dtype=np.float32)


@pytest.fixture(scope="module")
def pooled(counts) -> AnnData:
    data = AnnData(counts.astype(np.float64))
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    sc.pp.highly_variable_genes(data, flavor="seurat", n_top_genes=N_TOP)
    return data


def federated(counts: sparse.csr_matrix, n_sites: int) -> GeneMoments:
    """Moments from the sites' sums, through the ring as in a run; sites of unequal size."""
    n_cells, n_genes = counts.shape
    cuts = (np.linspace(0, 1, n_sites + 1)[1:-1] ** 2 * n_cells).astype(int)
    sites = [counts[rows] for rows in np.split(np.arange(n_cells), cuts)]
    # A site reads its cells in blocks.
    sums = [site_sums([s[:3], s[3:]], n_genes) for s in sites]
    packed = [pack("moments", site, n_sites) for site in sums]
    total = unpack("moments", add([vector for vector, _ in packed]), packed[0][1], n_sites)
    return GeneMoments(**{**total, "n_cells": round(float(total["n_cells"]))})


@pytest.mark.parametrize("n_sites", [1, 2, 7])
def test_moments(counts, pooled, n_sites):
    mean, sd = federated(counts, n_sites).log_mean_sd()
    x = pooled.X.toarray()
    np.testing.assert_allclose(mean, x.mean(axis=0), atol=1e-6)
    expected = x.std(axis=0, ddof=1)
    np.testing.assert_allclose(sd[expected > 0], expected[expected > 0], atol=1e-6)
    assert (sd[expected == 0] == 1).all()


@pytest.mark.parametrize("n_sites", [1, 2, 7])
def test_highly_variable_genes(counts, pooled, n_sites):
    chosen = highly_variable(federated(counts, n_sites), N_TOP)
    np.testing.assert_array_equal(chosen, np.flatnonzero(pooled.var["highly_variable"]))


def test_dispersions_equal_scanpys(counts, pooled):
    from common.data.hvg import normalised_dispersion

    ours = normalised_dispersion(*federated(counts, 7).cp10k_mean_variance())
    theirs = pooled.var["dispersions_norm"].to_numpy()
    defined = ~np.isnan(ours)
    np.testing.assert_allclose(ours[defined], theirs[defined], rtol=1e-4, atol=1e-5)


def test_asking_for_more_genes_than_vary_keeps_those_that_do(counts):
    chosen = highly_variable(federated(counts, 2), 10 * N_GENES)
    varying = np.flatnonzero(np.ptp(counts.toarray(), axis=0))
    assert 17 not in chosen
    assert set(varying) <= {*chosen, 18}


@pytest.mark.parametrize("n_sites", [2, 7])
def test_scaled_mini_batches(counts, pooled, n_sites):
    moments = federated(counts, n_sites)
    mean, sd = moments.log_mean_sd()
    chosen = highly_variable(moments, N_TOP)
    names = tuple(f"G{i}" for i in range(N_GENES))
    panel = Panel(names, tuple(names[i] for i in chosen), mean[chosen], sd[chosen])
    log = log1p_cp10k(counts[:, chosen], library_sizes(counts))
    matrix = ExpressionMatrix(log, panel.scaling())
    scaled = sc.pp.scale(pooled.X[:, chosen].toarray(), max_value=10)
    assert (scaled == 10).any()
    np.testing.assert_allclose(matrix.scaled(slice(None)).numpy(), scaled, atol=2e-5)
    rows = [5, 600, 6]
    np.testing.assert_allclose(matrix.scaled(np.array(rows)).numpy(), scaled[rows], atol=2e-5)


@pytest.mark.parametrize("n_cells", [20, 70, 700])
@pytest.mark.parametrize("n_sites", [1, 2, 7])
def test_a_gene_of_one_level_in_every_cell_is_constant(n_cells, n_sites):
    drawn = np.random.default_rng(0).integers(0, 9, (n_cells, 6))
    drawn[:, 0] = 3
    drawn[:, 5] = 100 - drawn[:, :5].sum(axis=1)
    moments = federated(sparse.csr_matrix(drawn, dtype=np.float32), n_sites)
    _, sd = moments.log_mean_sd()
    log = np.log1p(100.0 * drawn)
    np.testing.assert_allclose(sd, [1, *log[:, 1:].std(axis=0, ddof=1)], atol=1e-6)
    assert 0 not in highly_variable(moments, 6)


def test_a_cell_without_counts_is_a_cell_of_zeros():
    drawn = np.random.default_rng(1).poisson(2.0, (30, 8))
    drawn[[0, 12]] = 0
    counts = sparse.csr_matrix(drawn, dtype=np.float32)
    log = np.log1p(1e4 * drawn / np.maximum(drawn.sum(axis=1, keepdims=True), 1))
    ours = log1p_cp10k(counts, library_sizes(counts)).toarray()
    np.testing.assert_allclose(ours, log, rtol=1e-6)
    mean, sd = federated(counts, 2).log_mean_sd()
    np.testing.assert_allclose(mean, log.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(sd, log.std(axis=0, ddof=1), atol=1e-6)
