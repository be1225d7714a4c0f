"""The network's gradients: torch's own, and bit for bit the same in any company."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from common.synthesis.exact_product import exact_product
from common.synthesis.score_vae import ScoreVAE, Shape

SHAPE = Shape(n_genes=131, n_classes=3, latent=4, hidden=16)


def units(sizes: np.ndarray, shape: Shape = SHAPE, seed: int = 0):
    """Scores, classes and weights of units of so many records."""
    rng = np.random.default_rng(seed)
    n = int(sizes.sum())
    scores = np.clip(rng.standard_normal((n, shape.n_genes)), -3, 3)
    return scores, rng.integers(0, shape.n_classes, n), np.repeat(1.0 / sizes, sizes)


def network(shape: Shape = SHAPE, by: float = 0.3) -> ScoreVAE:
    rng = np.random.default_rng(3)
    return ScoreVAE(shape, shape.first_weights() + by * rng.standard_normal(shape.n_parameters))


def torch_gradient(vae: ScoreVAE, scores, classes, weights, draws) -> np.ndarray:
    """Of one unit's loss, by torch."""
    shape = vae.shape
    w = {k: torch.tensor(v).requires_grad_() for k, v in vae.weights.items()}
    v, eye = torch.tensor(scores), torch.eye(shape.n_classes, dtype=torch.float64)
    seen = torch.cat([v @ torch.tensor(shape.projection()), eye[classes]], dim=1)
    hidden = functional.linear(seen, w["encoder"], w["encoder_bias"])
    hidden = torch.tanh(functional.layer_norm(hidden, hidden.shape[1:]))
    mean, log_variance = functional.linear(hidden, w["code"], w["code_bias"]).chunk(2, dim=1)
    log_variance = log_variance.clamp(-8, 8)
    loss = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
    z = mean + (log_variance / 2).exp() * torch.tensor(draws)[:, None]
    given_ = torch.cat([z, eye[classes].expand(len(draws), -1, -1)], dim=2)
    decoded = functional.linear(given_, w["decoder"], w["decoder_bias"])
    decoded = torch.tanh(functional.layer_norm(decoded, decoded.shape[2:]))
    decoded = functional.linear(decoded, w["output"])
    loss = loss + 0.5 * ((v - decoded) ** 2).sum(dim=2).mean(dim=0)
    parts = torch.autograd.grad((torch.tensor(weights) * loss).sum(), list(w.values()))
    return torch.cat([part.flatten() for part in parts]).numpy()


@pytest.mark.parametrize("by", [0.3, 8.0])
@pytest.mark.parametrize("sizes", [[1, 1, 1], [2, 5, 1]])
def test_gradients_are_those_of_torch(by, sizes):
    # With weights of 8 log variances are cut, too.
    sizes, vae = np.array(sizes), network(by=by)
    scores, classes, weights = units(sizes)
    draws = np.random.default_rng(4).standard_normal((2, SHAPE.latent))
    found = vae.gradients(scores, classes, weights, sizes, draws)
    ends = np.cumsum(sizes)
    for unit, (start, end) in enumerate(zip(ends - sizes, ends, strict=True)):
        mine = slice(start, end)
        expected = torch_gradient(vae, scores[mine], classes[mine], weights[mine], draws)
        apart = np.linalg.norm(found[unit] - expected)
        assert apart < 1e-4 * np.linalg.norm(expected)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_units_gradient_is_the_same_to_the_bit_in_any_company(data):
    sizes = np.array(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=40)))
    if data.draw(st.booleans()):
        sizes[:] = 1
    drawn = st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=40)
    chosen = np.array(data.draw(drawn))
    vae, parts = network(), units(sizes, seed=data.draw(st.integers(0, 99)))
    draws = np.random.default_rng(4).standard_normal((2, SHAPE.latent))
    whole = vae.gradients(*parts, sizes, draws)
    ends = np.cumsum(sizes)
    rows = np.concatenate([np.arange(ends[u] - sizes[u], ends[u]) for u in chosen])
    again = vae.gradients(*(part[rows] for part in parts), sizes[chosen], draws)
    np.testing.assert_array_equal(again, whole[chosen])


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_rows_of_an_exact_product_do_not_depend_on_company(data):
    n, k, m = (data.draw(st.integers(1, most)) for most in (60, 1200, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    rows = rng.standard_normal((n, k)) * 10.0 ** rng.integers(-8, 9, (n, 1))
    matrix = rng.standard_normal((k, m))
    whole = exact_product(rows, matrix)
    chosen = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=60)))
    np.testing.assert_array_equal(exact_product(rows[chosen], matrix), whole[chosen])
    # No order of the terms changes it either.
    order = rng.permutation(k)
    np.testing.assert_array_equal(exact_product(rows[:, order], matrix[order]), whole)
    size = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(matrix, axis=0)
    assert (np.abs(whole - rows @ matrix) <= 3e-5 * size).all()


def test_a_row_that_is_not_finite_spoils_no_other():
    rows = np.ones((4, 5))
    rows[1, 2], rows[2, 0] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        found = exact_product(rows, np.full((5, 3), 0.5))
    assert not np.isfinite(found[1:3]).any()
    np.testing.assert_array_equal(found[[0, 3]], 2.5)
