"""How classes count in the loss of a classifier: against scikit-learn and a plain softmax."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from common.classification.class_weights import class_weights, logit_offsets
from common.models.classifiers.class_balance import ClassBalance

COUNTS = np.array([40, 9, 1, 10])
Y = np.repeat(np.arange(4), COUNTS)
LOGITS = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 4))).float()


def test_weighted_cross_entropy_against_scikit_learn():
    weights = class_weights(COUNTS, "balanced")
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
