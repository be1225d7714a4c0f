"""Rank-value encoding: the order of a cell's genes against a plain sort, and what it leaves out."""

import numpy as np
import pytest
import torch

from common.models.classifiers.gene_tokens import rank_genes, typical_expression
from tests.bert_in_numpy import ranked


def expression(n_cells=40, n_genes=30, seed=0):
    """log1p of small counts, many of them zero and many alike."""
    rng = np.random.default_rng(seed)
    return np.log1p(rng.poisson(rng.gamma(1, 1, n_genes), (n_cells, n_genes)).astype(np.float32))


def tokens_of(log, typical, max_tokens=99):
    genes, is_token = rank_genes(torch.from_numpy(log), torch.from_numpy(typical), max_tokens)
    assert genes.shape == is_token.shape
    return [row[kept].tolist() for row, kept in zip(genes, is_token, strict=True)]


@pytest.mark.parametrize("max_tokens", [99, 6, 1])
@pytest.mark.parametrize("alike", [True, False])
def test_against_a_plain_sort(max_tokens, alike):
    log = expression()
    drawn = np.random.default_rng(1).gamma(2, 1, 30).astype(np.float32)
    typical = np.ones(30, dtype=np.float32) if alike else drawn
    typical[3] = 0
    ours = tokens_of(log, typical, max_tokens)
    assert ours == [ranked(cell, typical, max_tokens) for cell in log]
    assert max(map(len, ours)) <= max_tokens
    assert max_tokens < 99 or len(set(map(len, ours))) > 1


def test_ties_keep_the_order_of_genes_and_nothing_is_made_of_zeros():
    log = np.log(np.array([[2, 1, 3, 2, 3, 1, 2]], dtype=np.float32))
    assert tokens_of(log, np.ones(7, dtype=np.float32)) == [[2, 4, 0, 3, 6]]
    # Housekeeping genes fall behind; a gene without a typical expression is not there.
    typical = np.array([1, 1, 9, 0.1, 1, 1, 0], dtype=np.float32)
    assert tokens_of(log, typical) == [[3, 4, 0, 2]]


def test_depth_does_not_count():
    """Powers of two round nothing."""
    log, typical = expression(), np.random.default_rng(2).gamma(2, 1, 30).astype(np.float32)
    counts = np.expm1(log.astype(np.float64))
    for factor in (0.25, 8):
        scaled = np.log1p(factor * counts).astype(np.float32)
        ours = tokens_of(scaled, typical)
        assert ours == tokens_of(log, typical)


def test_cells_without_expression_and_no_cells():
    log, typical = np.zeros((3, 5), dtype=np.float32), np.ones(5, dtype=np.float32)
    assert tokens_of(log, typical) == [[], [], []]
    log[1, 4] = 1
    assert tokens_of(log, typical) == [[], [4], []]
    assert tokens_of(log[:0], typical) == []


def test_typical_expression_is_that_of_the_cells_that_express_a_gene():
    log = expression(n_cells=4000).astype(np.float64)
    log[:, 7] = 0

    def typical(values):
        return typical_expression(values.mean(axis=0), values.std(axis=0))

    ours = typical(log)
    assert ours.dtype == np.float32
    for gene in range(30):
        expressed = log[log[:, gene] > 0, gene]
        if len(expressed):
            assert ours[gene] == pytest.approx(np.expm1(np.average(expressed, weights=expressed)))
    assert ours[7] == pytest.approx(1)
    # Cells of other types, without the gene, change nothing.
    np.testing.assert_allclose(typical(np.vstack([log, 0 * log])), ours, rtol=1e-5)
    # Near the median of the non-zero values, which Geneformer takes.
    nonzero = np.where(log > 0, np.expm1(log), np.nan)
    median = np.nanmedian(np.delete(nonzero, 7, axis=1), axis=0)
    ratio = np.delete(ours, 7) / median
    assert ratio.min() > 0.5
    assert ratio.max() < 2.5
