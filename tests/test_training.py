"""Local training: repeatable, equal to a plain PyTorch loop, and leaves random states alone."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from common.data.held_out import split_cells
from common.device import memory_guard, resolve_device
from common.errors import DeviceError
from common.models.build import build_model
from common.models.state import state_of
from common.training import evaluation_loss, fit, learning_rate_at
from tests.expression import CPU, flatten, small_matrix, small_preset


def trained(preset, matrix, *, round_=1, seed=5, rows=None):
    model = build_model(preset, matrix.shape[1], 0)
    rows = np.arange(matrix.shape[0]) if rows is None else rows
    loss = fit(model, matrix, rows, preset.training, round_=round_, seed=seed, device=CPU)
    return flatten(state_of(model)), loss


@pytest.mark.parametrize("name", ["default", "fedscgen"])
def test_the_same_seed_gives_the_same_bits(name):
    preset, matrix = small_preset(name, batch_size=16), small_matrix()
    first, again = trained(preset, matrix), trained(preset, matrix)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert (first[0] != trained(preset, matrix, round_=2)[0]).any()
    assert (first[0] != trained(preset, matrix, seed=6)[0]).any()


def test_the_processes_random_state_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    trained(small_preset(), small_matrix())
    assert torch.rand(1) == expected


@pytest.mark.parametrize("name", ["default", "fedscgen"])
def test_equals_a_plain_loop(name):
    preset = small_preset(name, batch_size=16, local_epochs=2, learning_rate=1e-2)
    preset = replace(preset, shape=replace(preset.shape, dropout=0.0))
    matrix, training = small_matrix(n_cells=62), preset.training
    ours, loss = trained(preset, matrix, rows=np.arange(62), round_=3, seed=5)

    model = build_model(preset, matrix.shape[1], 0).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate_at(training, 3))
    once = np.random.default_rng([5, 0]).permutation(62)
    order = np.random.default_rng([5, 3])
    noise = torch.Generator().manual_seed(5 + 7919 * 3 + 1)
    x = matrix.scaled(slice(None))
    for _ in range(2):
        losses = []
        permuted = order.permutation(62) if name == "default" else once
        for start, end in ((0, 16), (16, 32), (32, 47), (47, 62)):
            batch = x[permuted[start:end]]
            mean, log_var = model.encode(batch)
            z = mean + (log_var / 2).exp() * torch.randn(mean.shape, generator=noise)
            kl = 0.5 * (log_var.exp() + mean**2 - 1 - log_var).sum(1).mean()
            step_loss = (model.decode(z) - batch).pow(2).mean() + training.kl_weight * kl
            optimizer.zero_grad()
            step_loss.backward()
            optimizer.step()
            losses += [step_loss.item()] * len(batch)
    # Adam's steps of 1e-2 carry rounding on where a gradient is near zero, so not to the last bit.
    np.testing.assert_allclose(ours, flatten(state_of(model)), atol=1e-4)
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_a_site_cannot_put_its_batch_effect_into_the_decoders_biases():
    """They would be averaged over sites, and no latent would hold the effect."""
    preset, matrix = small_preset(), small_matrix()
    model = build_model(preset, matrix.shape[1], 0)
    before = {name: value.copy() for name, value in state_of(model).items()}
    rows = np.arange(matrix.shape[0])
    fit(model, matrix, rows, preset.training, round_=1, seed=5, device=CPU)
    changed = {name for name, value in state_of(model).items() if (value != before[name]).any()}
    assert set(before) - changed == {"linear_decoder.bias", "decoder.1.bias"}


def test_fewer_cells_than_a_batch_are_one_batch():
    preset, matrix = small_preset(batch_size=64), small_matrix()
    ours, _ = trained(preset, matrix, rows=np.arange(10))
    assert (ours != flatten(state_of(build_model(preset, 20, 0)))).any()


def test_evaluation_is_a_sum_over_cells():
    preset, matrix = small_preset(), small_matrix()
    model = build_model(preset, 20, 0)
    parts = [np.arange(20), np.arange(20, 60)]
    total = evaluation_loss(model, matrix, np.arange(60), preset.training, CPU)
    assert total == pytest.approx(
        sum(evaluation_loss(model, matrix, rows, preset.training, CPU) for rows in parts), rel=1e-5
    )
    assert evaluation_loss(model, matrix, np.arange(0), preset.training, CPU) == 0


@pytest.mark.parametrize("name", ["default", "fedscgen"])
def test_evaluation_is_the_loss_of_each_cell_whatever_the_chunk(name, monkeypatch):
    monkeypatch.setattr("common.training.EVALUATION_CELLS", 7)
    preset, matrix = small_preset(name, kl_weight=0.3), small_matrix()
    model, rows = build_model(preset, 20, 0), np.arange(5, 55)
    ours = evaluation_loss(model, matrix, rows, preset.training, CPU)
    x = matrix.scaled(rows)
    model.eval()
    with torch.no_grad():
        mean, log_var = model.encode(x)
        squared_error = (model.decode(mean) - x).square().mean(dim=1)
    posterior = torch.distributions.Normal(mean, (log_var / 2).exp())
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    assert ours == pytest.approx((squared_error + 0.3 * kl.sum(dim=1)).sum().item(), rel=1e-5)


def test_split_holds_out_a_share_of_each_batch():
    batches = np.repeat(["a", "b", "tiny"], [100, 40, 5])
    split = split_cells(batches, 0.1, seed=3)
    assert np.unique(batches[split.validation], return_counts=True)[1].tolist() == [10, 4]
    joined = np.sort(np.concatenate([split.train, split.validation]))
    np.testing.assert_array_equal(joined, np.arange(145))
    np.testing.assert_array_equal(split.train, split_cells(batches, 0.1, seed=3).train)
    assert (split.validation != split_cells(batches, 0.1, seed=4).validation).any()


def test_the_learning_rate_falls_to_a_fraction():
    training = small_preset(rounds=10, schedule="cosine", learning_rate=1.0).training
    rates = [learning_rate_at(training, round_) for round_ in range(1, 11)]
    assert rates[0] == 1.0
    assert all(a > b for a, b in itertools.pairwise(rates))
    assert 0.02 <= rates[-1] < 0.1
    constant = replace(training, schedule="constant")
    assert learning_rate_at(constant, 9) == 1.0


def test_out_of_memory_says_what_to_change():
    with (
        pytest.raises(DeviceError, match=r"128 cells at a time; lower n-top-genes"),
        memory_guard(CPU, 128),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(DeviceError), memory_guard(CPU, 128):
        raise torch.OutOfMemoryError("allocation failed")


def test_out_of_memory_on_the_cpu_is_told_from_other_faults():
    with pytest.raises(DeviceError, match="cpu ran out of memory"), memory_guard(CPU, 50):
        torch.empty(2**52)
    with pytest.raises(RuntimeError, match="shape"), memory_guard(CPU, 50):
        torch.zeros(3).reshape(2)
    with pytest.raises(RuntimeError, match="illegal"), memory_guard(CPU, 50):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
@pytest.mark.parametrize("name", ["cuda", "cuda:3"])
def test_an_absent_gpu_is_a_clear_error(name):
    with pytest.raises(DeviceError, match=f"device = '{name}'.*set device = 'auto' or 'cpu'"):
        resolve_device(name)
    assert resolve_device("auto") == CPU


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_gives_what_the_cpu_gives():
    preset = small_preset("default", batch_size=16)
    preset = replace(preset, shape=replace(preset.shape, dropout=0.0))
    matrix = small_matrix()
    model = build_model(preset, 20, 0)
    rows = np.arange(60)
    device = resolve_device("cuda")
    fit(model, matrix, rows, preset.training, round_=1, seed=5, device=device)
    np.testing.assert_allclose(flatten(state_of(model)), trained(preset, matrix)[0], atol=1e-4)
