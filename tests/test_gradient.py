"""A site's part of a step of all sites: which cells, and the gradient over them."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from common.data.matrix import ExpressionMatrix
from common.gradient import CHUNK, LARGEST, cells_of_step, descent
from common.models.build import build_model
from common.models.state import averaged_names, not_finite, state_of, vector_of
from common.panel import Scaling
from common.wire import phase_of
from tests.expression import small_preset

CPU = torch.device("cpu")
N_GENES = 30


@pytest.fixture
def training():
    return small_preset("default", batch_size=100).training


def drawn(rows, training, n_cells, round_=1):
    return cells_of_step(rows, training, n_cells, round_=round_, seed=3)


def test_every_site_gives_the_same_share_of_its_cells(training):
    sizes = [len(drawn(np.arange(n), training, 400)) for n in (400, 1000, 2600)]
    assert sizes == [100, 250, 650]


@pytest.mark.parametrize(("batch_size", "n_cells"), [(2, 400), (100, 10**9)])
def test_no_step_is_over_few_cells_whatever_the_coordinator_asks(training, batch_size, n_cells):
    asked = replace(training, batch_size=batch_size)
    sizes = [len(drawn(np.arange(n), asked, n_cells)) for n in (2, 64, 65, 1000)]
    assert sizes == [2, 64, 64, 64]


def test_few_cells_are_all_in_every_step(training):
    rows = np.arange(7, 60)
    for n_cells in (53, 100):
        np.testing.assert_array_equal(drawn(rows, training, n_cells), rows)


def test_cells_are_drawn_anew_each_round_without_repeats(training):
    rows = np.arange(1000, 1300)
    rounds = [drawn(rows, training, 400, round_) for round_ in range(1, 60)]
    assert all(len(set(cells)) == 75 and set(cells) <= set(rows) for cells in rounds)
    np.testing.assert_array_equal(rounds[0], drawn(rows, training, 400, 1))
    counts = np.bincount(np.concatenate(rounds) - 1000)
    assert counts.min() > 0
    assert set(rounds[0]) != set(rounds[1])


@pytest.fixture
def cells():
    """More than two chunks of scaled cells, and the default network away from its start."""
    rng = np.random.default_rng(0)
    log = sp.random_array((2 * CHUNK + 77, N_GENES), density=0.4, rng=rng, format="csr")
    scaling = Scaling(rng.random(N_GENES).astype(np.float32), np.full(N_GENES, 0.3, np.float32))
    matrix = ExpressionMatrix(sp.csr_matrix(log.astype(np.float32)), scaling)
    preset = small_preset("default")
    preset = replace(preset, shape=replace(preset.shape, dropout=0.0))
    model = build_model(preset, N_GENES, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator()))
        # A posterior that is a point: what it samples does not depend on the order of the cells.
        model.log_var.weight.zero_()
        model.log_var.bias.fill_(-40.0)
    return matrix, preset, model


def test_sites_steps_add_up_to_the_gradient_on_pooled_cells(cells):
    matrix, preset, model = cells
    rows = np.random.default_rng(1).permutation(matrix.shape[0])
    parts = np.split(rows, [CHUNK + 5, CHUNK + 30])
    how = {"round_": 2, "seed": 5, "device": CPU}
    before = state_of(model)
    total, total_loss = {}, 0.0
    for own in parts:
        step, loss = descent(model, matrix, own, preset.training, **how)
        total_loss += loss * len(own) / len(rows)
        for name, value in step.items():
            total[name] = total.get(name, 0) + value * (len(own) / len(rows))
    double = model.double().eval()
    reconstruction, kl = double.losses(matrix.scaled(slice(None)).double(), None)
    pooled = reconstruction + preset.training.kl_weight * kl
    (pooled * N_GENES).backward()
    assert total_loss == pytest.approx(float(pooled.detach()), rel=1e-6)
    trained = {n: p.grad.numpy() for n, p in double.named_parameters() if p.grad is not None}
    assert set(total) == set(trained)
    for name, gradient in trained.items():
        np.testing.assert_allclose(total[name], -gradient, atol=2e-5, rtol=1e-4, err_msg=name)
    for name, value in before.items():
        np.testing.assert_array_equal(state_of(double.float())[name], value, err_msg=name)


def test_the_vector_has_zeros_for_what_is_not_trained(cells):
    matrix, preset, model = cells
    how = {"round_": 1, "seed": 0, "device": CPU}
    step, _ = descent(model, matrix, np.arange(50), preset.training, **how)
    state = state_of(model)
    assert "linear_decoder.bias" not in step
    vector, start = vector_of(step, state), 0
    for name in averaged_names(state):
        part = vector[start : start + state[name].size]
        start += state[name].size
        np.testing.assert_array_equal(part, step.get(name, np.zeros_like(state[name])).ravel())
    assert start == len(vector)
    assert vector.dtype == np.float32


def test_a_step_fits_the_sum_whatever_the_loss_weighs(cells):
    matrix, preset, model = cells
    heavy = replace(preset.training, kl_weight=1e6)
    how = {"round_": 1, "seed": 0, "device": CPU}
    step, _ = descent(model, matrix, np.arange(50), heavy, **how)
    largest = max(np.abs(value).max() for value in step.values())
    assert largest == LARGEST
    assert phase_of("fit").masked()["update"].narrow_bound >= LARGEST
    with torch.no_grad():
        model.mean.weight[0, 0] = np.nan
    step, _ = descent(model, matrix, np.arange(50), heavy, **how)
    assert "values of" in not_finite(step)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_gpu_computes_the_same_step(cells):
    matrix, preset, model = cells
    steps = [
        descent(model, matrix, np.arange(600), preset.training, round_=1, seed=0, device=device)[0]
        for device in (CPU, torch.device("cuda"))
    ]
    for name, value in steps[0].items():
        np.testing.assert_allclose(steps[1][name], value, atol=1e-3, rtol=1e-3, err_msg=name)
