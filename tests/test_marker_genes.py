"""Genes chosen from sums over sites, against scikit-learn's F on pooled cells."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_selection import f_classif

from common.classification.marker_genes import between_within, most_distinct, site_class_sums
from common.data.matrix import ExpressionMatrix
from tests.classifier_cells import N_CLASSES, N_GENES, labelled_cells

MATRIX, Y = labelled_cells(200)
ROWS = np.arange(5, 190)


def summed(matrix, y, *parts, n_classes=N_CLASSES):
    sums = [site_class_sums(matrix, y, rows, n_classes) for rows in parts]
    return {name: sum(one[name] for one in sums) for name in sums[0]}


def test_the_ratio_over_sites_is_the_pooled_f():
    parts = [ROWS[Y[ROWS] == 0], ROWS[Y[ROWS] != 0][:40], ROWS[Y[ROWS] != 0][40:], ROWS[:0]]
    ours = between_within(summed(MATRIX, Y, *parts))
    f, _ = f_classif(MATRIX.log(ROWS).astype(np.float64), Y[ROWS])
    n = len(ROWS)
    np.testing.assert_allclose(ours, f * (N_CLASSES - 1) / (n - N_CLASSES), rtol=1e-8)
    np.testing.assert_array_equal(most_distinct(ours, 6), np.argsort(f)[::-1][:6])


def test_a_class_that_no_site_holds_changes_nothing():
    with_one_more = summed(MATRIX, Y, ROWS, n_classes=N_CLASSES + 1)
    assert with_one_more["n_cells"][-1] == 0
    np.testing.assert_array_equal(
        between_within(with_one_more), between_within(summed(MATRIX, Y, ROWS))
    )


def test_constant_genes_are_last_and_perfect_ones_first():
    log = MATRIX.log(slice(None)).copy()
    log[:, 3], log[:, 8], log[:, 12] = 0, 1.7, Y * 0.3
    matrix = ExpressionMatrix(sparse.csr_matrix(log), MATRIX.scaling)
    ratio = between_within(summed(matrix, Y, ROWS))
    assert ratio[3] == ratio[8] == 0
    assert ratio[12] == np.inf
    order = most_distinct(ratio, N_GENES)
    assert order[0] == 12
    assert order[-2:].tolist() == [3, 8]


@pytest.mark.parametrize("n_selected", [1, 6, 20])
def test_as_many_are_selected_as_asked(n_selected):
    ratio = between_within(summed(MATRIX, Y, ROWS))
    assert len(np.unique(most_distinct(ratio, n_selected))) == n_selected
