"""The threshold for `unknown` and the temperature: from summed counts, as from the pooled cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from common.classification.codes import OUTSIDE, UNLABELLED
from common.classification.figures import figures_of
from common.classification.probabilities import log_softmax, softmax
from common.classification.site_sums import site_sums
from common.classification.temperature import TEMPERATURES, best_temperature, temperature_losses
from common.classification.threshold import (
    confidence_histogram,
    threshold_for_error,
    threshold_for_kept,
)
from common.errors import ConfigError, InputError, UpdateError


def validation_cells(n_cells, seed, n_classes=4, sharpness=1.0):
    """Logits of cells, drawn so that softmax(logits / sharpness) is calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n_cells, n_classes)) * 2
    truth = (softmax(logits).cumsum(axis=1) > rng.random((n_cells, 1))).argmax(axis=1)
    return logits * sharpness, truth


def over_sites(function, outputs, truth, n_sites, seed):
    site = np.random.default_rng(seed).integers(0, n_sites, len(truth))
    return sum(function(outputs[site == s], truth[site == s]) for s in range(n_sites))


some_cells = st.tuples(st.integers(1, 80), st.integers(0, 2**16))


@settings(deadline=None)
@given(some_cells, st.integers(1, 6), st.floats(0, 0.99))
def test_the_error_bound_gives_the_largest_coverage(cells, n_sites, most):
    logits, truth = validation_cells(*cells)
    truth[::7], truth[3::7] = OUTSIDE, UNLABELLED
    probabilities = softmax(logits)
    histogram = over_sites(confidence_histogram, probabilities, truth, n_sites, cells[1])
    np.testing.assert_array_equal(histogram, confidence_histogram(probabilities, truth))
    found = threshold_for_error(histogram, most)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    labelled = truth != UNLABELLED
    tried = []
    for edge in range(1001):
        answered = labelled & (confidence >= edge / 1000)
        if answered.any():
            error = (answered & ~right).sum() / answered.sum()
            tried.append((error, -answered.sum() / labelled.sum(), edge / 1000))
    met = [(coverage, edge, error) for error, coverage, edge in tried if error <= most]
    assert found.met == bool(met)
    if met:
        assert (-found.coverage, found.value, found.error) == min(met)
    else:
        assert (found.error, -found.coverage, found.value) == min(tried)


@settings(deadline=None)
@given(some_cells, st.floats(0.01, 1))
def test_the_highest_threshold_that_keeps_a_share_of_the_right_answers(cells, least):
    logits, truth = validation_cells(*cells)
    probabilities = softmax(logits)
    right = probabilities.argmax(axis=1) == truth
    histogram = confidence_histogram(probabilities, truth)
    if not right.any():
        with pytest.raises(InputError, match="answered rightly"):
            threshold_for_kept(histogram, least)
        return
    found = threshold_for_kept(histogram, least)
    confidence = probabilities.max(axis=1)[right]
    kept = [(confidence >= edge / 1000).mean() for edge in range(1001)]
    good = [edge for edge, share in enumerate(kept) if share >= least - 1e-9]
    assert found.value == max(good) / 1000
    assert found.kept == pytest.approx(kept[max(good)])


def test_shares_that_are_whole_but_for_rounding():
    """0.07 * 100 is above 7 in floating point."""
    histogram = np.zeros((2, 11), dtype=np.int64)
    histogram[0, [2, 8]] = 93, 7
    assert threshold_for_kept(histogram, 0.07).value == 0.8


def test_the_threshold_gives_the_figures_that_it_promises():
    """Applied to the cells that it was made of, by the code that labels."""
    logits, truth = validation_cells(5000, 0)
    probabilities = softmax(logits)
    found = threshold_for_error(confidence_histogram(probabilities, truth), 0.1)
    figures = figures_of(**site_sums(probabilities, truth, found.value))
    assert found.met
    assert figures.coverage == found.coverage
    assert 1 - figures.accuracy_answered == pytest.approx(found.error)
    assert 0.3 < found.coverage < 0.95
    assert found.error <= 0.1
    # And to others.
    logits, truth = validation_cells(5000, 1)
    later = figures_of(**site_sums(softmax(logits), truth, found.value))
    assert 1 - later.accuracy_answered == pytest.approx(0.1, abs=0.015)


def test_a_confidence_at_an_edge_is_of_the_upper_bin():
    """As a confidence at the threshold is answered."""
    histogram = confidence_histogram(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1]), 4)
    np.testing.assert_array_equal(histogram, [[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]])
    assert threshold_for_error(histogram, 0).value == 0.75


def test_confidences_of_float32_above_1():
    probabilities = np.array([[1.0000002, 0.0]], dtype=np.float32)
    assert confidence_histogram(probabilities, np.array([0]))[0, -1] == 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda h: threshold_for_error(h, 1), ConfigError, "an error of 1 of the answers"),
        (lambda h: threshold_for_error(h, -0.1), ConfigError, "an error of -0.1"),
        (lambda h: threshold_for_kept(h, 0), ConfigError, "0 of the right answers"),
        (lambda h: threshold_for_error(0 * h, 0.1), InputError, "no site has validation cells"),
        (lambda h: threshold_for_kept(0 * h, 0.1), InputError, "no site has validation cells"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((2, 11), dtype=np.int64))


@settings(deadline=None)
@given(some_cells, st.integers(1, 6), st.floats(0.2, 20))
def test_losses_over_sites_are_the_pooled_losses_to_the_bit(cells, n_sites, sharpness):
    logits, truth = validation_cells(*cells, sharpness=sharpness)
    truth[::5], truth[1::5] = UNLABELLED, OUTSIDE
    pooled = temperature_losses(logits, truth)
    np.testing.assert_array_equal(pooled, temperature_losses(logits[truth >= 0], truth[truth >= 0]))
    summed = over_sites(temperature_losses, logits, truth, n_sites, cells[1])
    np.testing.assert_array_equal(summed, pooled)


@pytest.mark.parametrize("sharpness", [0.25, 1.0, 3.0, 8.0])
def test_the_temperature_undoes_overconfidence(sharpness):
    logits, truth = validation_cells(4000, 3, sharpness=sharpness)
    found = best_temperature(temperature_losses(logits, truth))

    def loss(temperature):
        return -log_softmax(logits, temperature)[np.arange(len(truth)), truth].mean()

    optimum = minimize_scalar(loss, bounds=(1 / 8, 16), method="bounded")
    step = 2 ** (1 / 8)
    assert optimum.x / step <= found <= optimum.x * step
    assert found == pytest.approx(sharpness, rel=0.1)
    assert loss(found) <= optimum.fun * 1.005


def test_a_temperature_lowers_the_calibration_error():
    logits, truth = validation_cells(20_000, 5, sharpness=4.0)
    found = best_temperature(temperature_losses(logits[:10_000], truth[:10_000]))
    before, after = (
        figures_of(**site_sums(softmax(logits[10_000:], t), truth[10_000:])) for t in (1, found)
    )
    assert before.expected_calibration_error > 0.2
    assert after.expected_calibration_error < 0.03
    assert after.accuracy == before.accuracy


def test_the_temperature_without_evidence_is_1():
    assert 1.0 in TEMPERATURES
    nobody = temperature_losses(np.zeros((2, 3)), np.array([UNLABELLED, OUTSIDE]))
    assert best_temperature(nobody) == 1.0
    assert best_temperature(temperature_losses(np.zeros((5, 3)), np.zeros(5, dtype=int))) == 1.0


def test_diverged_logits_are_refused():
    with pytest.raises(UpdateError, match="not finite"):
        temperature_losses(np.array([[np.nan, 0.0]]), np.array([0]))
