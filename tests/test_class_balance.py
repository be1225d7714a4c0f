"""Weights and offsets of the classes, against scikit-learn and Bayes' rule."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from common.class_balance import ClassBalance, class_weights, logit_offsets

COUNTS = np.array([40, 9, 1, 10])
Y = np.repeat(np.arange(4), COUNTS)
LOGITS = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 4))).float()


def test_full_power_is_scikit_learns_balanced():
    expected = compute_class_weight("balanced", classes=np.arange(4), y=Y)
    np.testing.assert_allclose(class_weights(COUNTS), expected)


@pytest.mark.parametrize("power", [0.0, 0.3, 0.5, 1.0])
def test_weights_have_mean_one_over_cells_and_fall_with_the_count(power):
    weights = class_weights(COUNTS, power)
    assert weights @ COUNTS / COUNTS.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights[2] / weights[0], 40.0**power)


def test_a_class_without_cells_weighs_one_and_changes_no_other():
    weights = class_weights(np.insert(COUNTS, 1, 0))
    assert weights[1] == 1
    np.testing.assert_allclose(np.delete(weights, 1), class_weights(COUNTS))
    np.testing.assert_array_equal(class_weights(np.zeros(3)), np.ones(3))


def test_weighted_cross_entropy_against_scikit_learn():
    weights = class_weights(COUNTS)
    balance = ClassBalance(torch.from_numpy(weights).float())
    ours = balance.cross_entropy(LOGITS, torch.from_numpy(Y))
    p = LOGITS.double().softmax(1).numpy()
    expected = log_loss(Y, p, sample_weight=weights[Y], normalize=False) / len(Y)
    assert float(ours) == pytest.approx(expected, rel=1e-6)
    # A part with other frequencies: its mean is over cells, torch's is over weights.
    part = balance.cross_entropy(LOGITS[:45], torch.from_numpy(Y[:45]))
    rest = balance.cross_entropy(LOGITS[45:], torch.from_numpy(Y[45:]))
    assert float(45 * part + 15 * rest) / 60 == pytest.approx(expected, rel=1e-6)
    assert compute_sample_weight("balanced", Y).mean() == pytest.approx(1)


def test_a_pseudo_count_lets_a_lacking_class_be_pushed_down_a_little():
    counts = np.array([40, 9, 0, 11])
    ours = logit_offsets(counts, 0.5, pseudo_count=2)
    np.testing.assert_allclose(np.exp(2 * ours), np.array([42, 11, 2, 13]) / 68)
    pooled = np.array([50, 50, 50, 50])
    ours = logit_offsets(counts, 1.0, pooled, pseudo_count=2)
    np.testing.assert_allclose(np.exp(ours), np.array([42, 11, 2, 13]) / 68 / 0.25)
    # Cells added to a site that holds all of a class do not make it hold more.
    assert np.isfinite(logit_offsets(counts, 1.0, counts, pseudo_count=2)).all()


@pytest.mark.parametrize("pooled", [None, np.array([100, 100, 100, 700])])
def test_offsets_take_a_sites_frequencies_out_by_bayes_rule(pooled):
    """Logits that fit the site with its offsets are, without them, the posterior elsewhere."""
    rng = np.random.default_rng(1)
    likelihood = rng.gamma(1.0, size=(30, 4))
    site = COUNTS / COUNTS.sum() * likelihood
    log_site = np.log(site / site.sum(1, keepdims=True))
    logits = log_site - logit_offsets(COUNTS, 1.0, pooled)
    ours = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    prior = np.full(4, 0.25) if pooled is None else pooled / pooled.sum()
    expected = prior * likelihood
    np.testing.assert_allclose(ours, expected / expected.sum(1, keepdims=True))


def test_a_class_that_the_site_lacks_gets_no_gradient():
    counts = np.array([40, 9, 0, 11])
    offsets = torch.from_numpy(logit_offsets(counts, 0.7)).float()
    y = torch.from_numpy(np.repeat(np.arange(4), counts))
    logits = LOGITS.clone().requires_grad_()
    loss = ClassBalance(offsets=offsets).cross_entropy(logits, y)
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[:, 2] == 0).all()
    assert (logits.grad[:, [0, 1, 3]] != 0).all()
    held = [0, 1, 3]
    adjusted = LOGITS[:, held] + 0.7 * torch.tensor(counts[held] / 60).log()
    expected = torch.nn.functional.cross_entropy(adjusted, torch.tensor([0, 1, 9, 2])[y])
    torch.testing.assert_close(loss, expected.to(loss.dtype))


def test_a_site_with_more_cells_than_all_is_refused():
    with pytest.raises(ValueError, match="more cells of a class than all sites"):
        logit_offsets(COUNTS, 1.0, COUNTS - 1)
