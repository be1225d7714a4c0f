"""Figures of a classifier from sums over sites, against scikit-learn on the pooled cells."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn import metrics

from common.classification.calibration import calibration_sums, expected_calibration_error
from common.classification.codes import OUTSIDE, UNLABELLED
from common.classification.confusion import confusion_counts
from common.classification.figures import figures_of
from common.classification.probabilities import UNANSWERED, answers, exact, log_softmax, softmax
from common.classification.site_sums import site_sums
from common.errors import UpdateError


@st.composite
def pooled_cells(draw):
    """Truth, probabilities and site of some cells; classes, labels and sites may be absent."""
    n_classes, n_cells = draw(st.integers(2, 6)), draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    occurring = draw(st.lists(st.integers(-2, n_classes - 1), min_size=1, max_size=8))
    probabilities = rng.dirichlet(np.full(n_classes, 0.4), n_cells)
    if draw(st.booleans()):
        probabilities = probabilities.astype(np.float32)
    truth = rng.choice(occurring, n_cells).astype(np.int64)
    return truth, probabilities, rng.integers(0, draw(st.integers(1, 6)), n_cells)


def over_sites(truth, probabilities, site, threshold=0.0):
    parts = [site_sums(probabilities[site == s], truth[site == s], threshold) for s in range(6)]
    return {name: sum(part[name] for part in parts) for name in parts[0]}


thresholds = st.sampled_from([0.0, 0.5, 0.9, 1.1])


@settings(deadline=None)
@given(pooled_cells(), thresholds)
def test_sums_over_sites_are_the_pooled_sums_to_the_bit(cells, threshold):
    pooled = site_sums(cells[1], cells[0], threshold)
    summed = over_sites(*cells, threshold)
    for name, value in pooled.items():
        np.testing.assert_array_equal(summed[name], value)
    assert figures_of(**summed) == figures_of(**pooled)


@settings(max_examples=200, deadline=None)
@given(pooled_cells(), thresholds, st.sampled_from(["apart", "counted"]))
@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
def test_figures_are_scikit_learns_on_the_pooled_cells(cells, threshold, outside):
    truth, probabilities, _ = cells
    n_classes = probabilities.shape[1]
    figures = figures_of(**over_sites(*cells, threshold), outside=outside)
    answer, _ = answers(probabilities, threshold)
    # To scikit-learn, `unknown` and `outside` are one class more.
    answer = np.where(answer == UNANSWERED, n_classes, answer)
    truth = np.where(truth == OUTSIDE, n_classes, truth)
    known = (truth >= 0) & (truth < n_classes)
    assert (figures.n_cells, figures.n_outside) == (known.sum(), (truth == n_classes).sum())
    counted = truth >= 0 if outside == "counted" else known
    if not counted.any():
        assert figures.accuracy is figures.macro_f1 is figures.kappa is None
        return
    t, a = truth[counted], answer[counted]
    assert figures.accuracy == metrics.accuracy_score(t, a)
    kappa = metrics.cohen_kappa_score(t, a) if len({*t, *a}) > 1 else np.nan
    assert (figures.kappa is None) == np.isnan(kappa)
    assert figures.kappa is None or figures.kappa == pytest.approx(kappa, abs=1e-12)
    occurring = np.unique(truth[known])
    asked = {"y_true": t, "y_pred": a, "zero_division": 0}
    if len(occurring):
        for average, value in (("macro", figures.macro_f1), ("weighted", figures.weighted_f1)):
            expected = metrics.f1_score(**asked, labels=occurring, average=average)
            assert value == pytest.approx(expected, abs=1e-12)
        expected = metrics.balanced_accuracy_score(truth[known], answer[known])
        assert figures.balanced_accuracy == pytest.approx(expected, abs=1e-12)
    union = np.setdiff1d(np.union1d(occurring, a), [n_classes])
    if len(union):
        expected = metrics.f1_score(**asked, labels=union, average="macro")
        assert figures.macro_f1_union == pytest.approx(expected, abs=1e-12)
    every = np.arange(n_classes)
    by_class = metrics.precision_recall_fscore_support(
        t, a, labels=every, average=None, zero_division=0
    )
    names = ("precision", "recall", "f1", "support")
    for name, expected in zip(names, by_class, strict=True):
        ours = [0 if value is None else value for value in getattr(figures, name)]
        np.testing.assert_allclose(ours, expected, atol=1e-12)


@settings(deadline=None)
@given(pooled_cells(), thresholds)
def test_coverage_by_a_plain_loop(cells, threshold):
    truth, probabilities, _ = cells
    figures = figures_of(**over_sites(*cells, threshold), outside="apart")
    n = answered = right = n_outside = rejected = 0
    for code, row in zip(truth, probabilities.astype(np.float64), strict=True):
        is_answered = max(row) >= threshold
        if code == OUTSIDE:
            n_outside += 1
            rejected += not is_answered
        elif code != UNLABELLED:
            n += 1
            answered += is_answered
            right += is_answered and int(np.argmax(row)) == code
    assert figures.coverage == (answered / n if n else None)
    assert figures.accuracy == (right / n if n else None)
    assert figures.accuracy_answered == (right / answered if answered else None)
    assert figures.outside_unknown == (rejected / n_outside if n_outside else None)


@settings(deadline=None)
@given(pooled_cells(), st.integers(1, 20))
def test_calibration_error_by_a_plain_loop(cells, n_bins):
    truth, probabilities, _ = cells
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    error = expected_calibration_error(calibration_sums(confidence, correct, n_bins))
    bins = {}
    for p, right in zip(confidence.astype(np.float64), correct, strict=True):
        b = next(b for b in range(n_bins) if p <= (b + 1) / n_bins or b == n_bins - 1)
        bins.setdefault(b, []).append((p, right))
    if not len(truth):
        assert error is None
        return
    expected = sum(abs(sum(p - right for p, right in own)) for own in bins.values()) / len(truth)
    assert error == pytest.approx(expected, abs=1e-6)


def test_a_confidence_at_an_edge_is_of_the_lower_bin():
    sums = calibration_sums(np.array([0.5, 0.75, 0.25]), np.array([True, False, True]), 4)
    np.testing.assert_array_equal(sums[0], [1, 1, 1, 0])
    np.testing.assert_array_equal(sums[2], [1, 1, 0, 0])


@settings(deadline=None)
@given(pooled_cells(), thresholds)
def test_only_cells_of_a_class_calibrate_and_all_of_them(cells, threshold):
    truth, probabilities, _ = cells
    known = truth >= 0
    alone = site_sums(probabilities[known], truth[known])["calibration"]
    np.testing.assert_array_equal(over_sites(*cells, threshold)["calibration"], alone)


def test_a_confidence_at_the_threshold_is_answered():
    answer, confidence = answers(np.array([[0.25, 0.75], [0.5, 0.5]]), threshold=0.75)
    np.testing.assert_array_equal(answer, [1, UNANSWERED])
    np.testing.assert_array_equal(confidence, [0.75, 0.5])


def test_an_absent_class_is_not_averaged_but_its_answers_are_wrong():
    """Class 2 never occurs, and takes one cell of class 1."""
    figures = figures_of(confusion_counts(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]), 3))
    assert figures.recall == (1.0, 0.5, None)
    assert figures.precision == (1.0, 1.0, 0.0)
    assert figures.f1 == (1.0, pytest.approx(2 / 3), 0.0)
    assert figures.macro_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert figures.macro_f1_union == pytest.approx((1 + 2 / 3) / 3)
    assert figures.accuracy == 0.75


def test_a_class_never_answered_has_precision_0():
    figures = figures_of(confusion_counts(np.array([0, 0, 1]), np.array([0, 0, 0]), 3))
    assert figures.precision == (pytest.approx(2 / 3), 0.0, None)
    assert figures.f1 == (pytest.approx(0.8), 0.0, None)
    assert figures.kappa == pytest.approx(0.0)


def test_unknown_costs_recall_and_no_precision():
    truth, answer = np.array([0, 0, 1, 1]), np.array([0, UNANSWERED, 1, 1])
    figures = figures_of(confusion_counts(truth, answer, 2))
    assert (figures.recall, figures.precision) == ((0.5, 1.0), (1.0, 1.0))
    assert (figures.accuracy, figures.coverage, figures.accuracy_answered) == (0.75, 0.75, 1.0)


def test_cells_outside_of_the_vocabulary():
    truth, answer = np.array([0, 1, OUTSIDE, OUTSIDE]), np.array([0, 1, 1, UNANSWERED])
    confusion = confusion_counts(truth, answer, 2)
    apart, counted = figures_of(confusion), figures_of(confusion, outside="counted")
    assert (apart.accuracy, apart.precision, apart.outside_unknown) == (1.0, (1.0, 1.0), 0.5)
    assert (counted.accuracy, counted.precision) == (0.75, (1.0, 0.5))
    assert counted.recall == (1.0, 1.0)


def test_unlabelled_cells_are_of_no_row():
    assert not confusion_counts(np.full(4, UNLABELLED), np.zeros(4, dtype=int), 2).any()
    figures = figures_of(np.zeros((3, 3)))
    assert set(dataclasses.astuple(figures)[2:12]) == {None}


def test_diverged_outputs_are_refused():
    with pytest.raises(UpdateError, match="not finite"):
        site_sums(np.array([[0.5, np.nan]]), np.array([0]))
    with pytest.raises(UpdateError, match="lower learning-rate"):
        softmax(np.array([[1.0, np.inf]]))


@pytest.mark.parametrize("size", [4, 100])
@pytest.mark.parametrize("of", [softmax, log_softmax])
def test_probabilities_are_scipys_and_a_cells_own_however_the_logits_are_laid_out(of, size):
    logits = np.random.default_rng(3).normal(0, size, (133, 29)).astype(np.float32)
    ours = of(logits, 1.7)
    expected = getattr(special, of.__name__)(logits.astype(np.float64) / 1.7, axis=1)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(of(np.asfortranarray(logits), 1.7), ours)
    alone = [of(logits[cell : cell + 1], 1.7) for cell in range(133)]
    np.testing.assert_array_equal(np.concatenate(alone), ours)


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), max_size=200), st.randoms(use_true_random=False))
def test_sums_of_exact_values_do_not_depend_on_their_order(values, random):
    rounded = exact(np.array(values)).tolist()
    shuffled = random.sample(rounded, len(rounded))
    assert sum(rounded) == sum(shuffled)
    np.testing.assert_allclose(rounded, values, atol=2**-20)
