"""The VAE against a numpy forward pass, and the vector its state is averaged as."""

import numpy as np
import pytest
import torch

from common.models.linear_vae import LinearVAE
from common.models.state import averaged_names, change, moved, state_of
from common.models.vae import VAE, VAEShape

N_GENES = 12
X = np.random.default_rng(0).normal(size=(9, N_GENES))


def network(kind: type[VAE], norm: str, plain: bool) -> VAE:
    """An untrained network in which no parameter or buffer has the value it is created with."""
    shape = VAEShape((8, 6), 3, norm=norm, plain_first_layer=plain, dropout=0.4, slope=0.3)
    model = kind(N_GENES, shape)
    draw = torch.Generator().manual_seed(4)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.2 + torch.rand(value.shape, generator=draw))
        else:
            value.fill_(17)
    return model


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0)


def block(state, name, norm, h):
    """Linear, normalisation, LeakyReLU; no dropout, as in evaluation."""
    h = linear(state, f"{name}.0", h)
    if norm == "batch":
        variance = state[f"{name}.1.running_var"]
        h = (h - state[f"{name}.1.running_mean"]) / np.sqrt(variance + 1e-5)
    if norm == "layer":
        h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
    if norm != "none":
        h = h * state[f"{name}.1.weight"] + state[f"{name}.1.bias"]
    return np.where(h > 0, h, 0.3 * h)


def forward(state, norm, plain, skip):
    """Posterior mean, log variance and reconstruction in float64."""
    state = {name: value.astype(np.float64) for name, value in state.items()}
    h = linear(state, "encoder.0", X) if plain else block(state, "encoder.0", norm, X)
    h = block(state, "encoder.1", norm, h)
    z = linear(state, "mean", h) + (linear(state, "linear_mean", X) if skip else 0)
    decoded = block(state, "decoder.1", norm, block(state, "decoder.0", norm, z))
    decoded = linear(state, "decoder.2", decoded)
    decoded = decoded + (linear(state, "linear_decoder", z) if skip else 0)
    return z, linear(state, "log_var", h), decoded


@pytest.mark.parametrize("kind", [VAE, LinearVAE])
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("plain", [True, False])
def test_forward_pass_against_numpy(kind, norm, plain):
    model = network(kind, norm, plain).eval()
    with torch.no_grad():
        z, log_var = model.encode(torch.from_numpy(X).float())
        ours = (z, log_var, model.decode(z))
    expected = forward(state_of(model), norm, plain, skip=kind is LinearVAE)
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-4, atol=1e-4)


def test_the_posterior_mean_is_deterministic_and_draws_nothing():
    model = network(LinearVAE, "batch", plain=False).eval()
    x = torch.from_numpy(X).float()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again = model.encode(x)[0], model.encode(x)[0]
    loss, _ = model.losses(x, None)
    assert torch.equal(first, again)
    assert torch.equal(loss, model.losses(x, None)[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_scaled_by_the_posterior_and_comes_from_its_own_generator():
    model = network(VAE, "layer", plain=False).eval()
    x = torch.from_numpy(X).float()
    before = torch.get_rng_state()
    ours, _ = model.losses(x, torch.Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), before)
    mean, log_var = model.encode(x)
    eps = torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
    expected = (model.decode(mean + eps * log_var.exp().sqrt()) - x).square().mean()
    torch.testing.assert_close(ours, expected)
    assert ours != model.losses(x, None)[0]


def test_one_vector_holds_every_parameter_and_buffer_but_counters():
    model = network(VAE, "batch", plain=True)
    state = state_of(model)
    counters = set(state) - set(averaged_names(state))
    assert counters == {
        f"{name}.1.num_batches_tracked" for name in ("encoder.1", "decoder.0", "decoder.1")
    }
    zeros = {name: np.zeros_like(value) for name, value in state.items()}
    vector = change(state, zeros)
    n_buffers = 2 * (6 + 6 + 8)
    assert vector.dtype == np.float32
    assert vector.shape == (sum(p.numel() for p in model.parameters()) + n_buffers,)
    doubled = moved(state, vector)
    for name, value in state.items():
        factor = 1 if name in counters else 2
        np.testing.assert_array_equal(doubled[name], factor * value, err_msg=name)
        assert (doubled[name].dtype, doubled[name].shape) == (value.dtype, value.shape)
    assert list(doubled) == list(state)


@pytest.mark.parametrize("extra", [-1, 1, 100])
def test_a_vector_of_another_length_is_refused(extra):
    state = state_of(network(VAE, "batch", plain=True))
    vector = change(state, state)
    for other in (np.zeros(len(vector) + extra), np.zeros(0)):
        with pytest.raises(ValueError, match=rf"change of {len(other)} values .* {len(vector)}"):
            moved(state, other)


def test_a_change_is_added_in_double_precision_and_rounded_once():
    before = {"w": np.array([1.0, -3.0], np.float32), "steps": np.array(4)}
    change_of_one = np.array([2.0**-25, 2.0**-23])
    after = moved(before, change_of_one, 3.0)
    exact = before["w"].astype(np.float64) + 3 * change_of_one
    np.testing.assert_array_equal(after["w"], exact.astype(np.float32))
    assert after["w"][0] > 1
    assert after["steps"] == 4


def test_a_running_variance_is_not_rounded_below_zero():
    before = {name: np.full(2, 0.5, np.float32) for name in ("n.running_mean", "n.running_var")}
    after = moved(before, np.array([-0.75, -0.25, -0.5 - 1e-6, -0.25]))
    assert after["n.running_mean"].tolist() == [-0.25, 0.25]
    assert after["n.running_var"].tolist() == [0, 0.25]
