"""The networks: sizes, losses, states, and where the default one starts."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from common.coding import encode
from common.decoder_refit import site_normal_equations, solve
from common.models.build import build_model
from common.models.state import change, load_state, moved, state_of
from common.presets import PRESETS
from tests.expression import CPU, flatten, small_matrix, small_preset


@pytest.mark.parametrize("n_genes", [700, 2000])
def test_fedscgen_has_the_published_parameters(n_genes):
    model = build_model(PRESETS["fedscgen"], n_genes, 0)
    assert sum(p.numel() for p in model.parameters()) == 1_308_820 + 1_601 * n_genes


@pytest.mark.parametrize("name", PRESETS)
def test_losses_against_torch_distributions(name):
    model = build_model(small_preset(name), 30, 0).eval()
    x = torch.randn(16, 30)
    reconstruction, kl = model.losses(x, None)
    mean, log_var = model.encode(x)
    posterior = torch.distributions.Normal(mean, torch.exp(log_var / 2))
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(posterior, prior).sum(dim=1).mean()
    torch.testing.assert_close(kl, expected)
    torch.testing.assert_close(reconstruction, (model.decode(mean) - x).square().mean())


@pytest.mark.parametrize("name", PRESETS)
def test_the_same_seed_builds_the_same_network(name):
    states = [state_of(build_model(small_preset(name), 20, seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(flatten(states[0]), flatten(states[1]))
    assert (flatten(states[0]) != flatten(states[2])).any()


@pytest.mark.parametrize("name", PRESETS)
def test_a_state_survives_being_sent_as_a_change(name):
    model = build_model(small_preset(name), 20, 0)
    before = {key: value.copy() for key, value in state_of(model).items()}
    model.train()
    reconstruction, kl = model.losses(torch.randn(8, 20), torch.Generator().manual_seed(0))
    (reconstruction + kl).backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    state = state_of(model)
    assert (flatten(state) != flatten(before)).any()
    other = build_model(small_preset(name), 20, 1)
    load_state(other, moved(before, change(state, before)))
    for key, value in state.items():
        if value.dtype.kind == "f":
            # One rounding of the difference, one of the sum.
            size = np.maximum(np.abs(value), np.abs(before[key]))
            assert (np.abs(state_of(other)[key] - value) <= 2.0**-23 * size).all(), key
        else:
            # Counters are the coordinator's.
            assert state_of(other)[key] == before[key] == value - 1
    assert any("running_var" in key for key in state) == (name == "fedscgen")


def test_a_state_of_another_shape_is_refused():
    with pytest.raises(RuntimeError):
        load_state(
            build_model(small_preset("default"), 20, 0),
            state_of(build_model(small_preset("default"), 21, 0)),
        )


def test_the_default_network_starts_as_pca():
    matrix = small_matrix(n_cells=90, n_genes=40)
    x = matrix.scaled(slice(None))
    pca = PCA(6).fit(x.numpy())
    model = build_model(small_preset("default", latent_dim=8), 40, 0)
    model.start_at(pca.mean_, pca.components_.T)
    model.eval()
    with torch.no_grad():
        mean, _ = model.encode(x)
        reconstruction = model.decode(mean).numpy()
    np.testing.assert_allclose(mean[:, :6], pca.transform(x.numpy()), atol=1e-4)
    assert not mean[:, 6:].any()
    expected = pca.inverse_transform(pca.transform(x.numpy()))
    np.testing.assert_allclose(reconstruction, expected, atol=1e-4)


def test_refit_from_sums_is_the_pooled_least_squares():
    preset = small_preset("default", latent_dim=4)
    model = build_model(preset, 30, 0).eval()
    sites = [small_matrix(n_cells=n, n_genes=30, seed=n) for n in (40, 90, 25)]
    n_cells = sum(site.shape[0] for site in sites)
    sums = [
        site_normal_equations(model, site, encode(model, site, CPU), n_cells, CPU) for site in sites
    ]
    weight, bias = solve(*(sum(s[name] for s in sums) for name in sums[0]))
    x = torch.cat([site.scaled(slice(None)) for site in sites])
    with torch.no_grad():
        z = model.encode(x)[0]
        residual = (x - model.nonlinear_decode(z)).double().numpy()
    design = np.c_[z.double().numpy(), np.ones(n_cells)]
    expected = np.linalg.lstsq(design, residual, rcond=None)[0]
    np.testing.assert_allclose(design @ np.c_[weight, bias].T, design @ expected, atol=1e-3)
    model.set_linear_decoder(weight, bias)
    with torch.no_grad():
        fitted = (model.decode(z) - x).square().mean().item()
    assert fitted == pytest.approx(((design @ expected - residual) ** 2).mean(), rel=1e-4)


@pytest.mark.parametrize("name", ["default", "fedscgen"])
def test_the_encoders_digest_changes_with_what_decides_the_latents(name):
    model, x = build_model(small_preset(name), 20, 0).eval(), torch.randn(7, 20)
    for key, value in model.state_dict().items():
        if not value.dtype.is_floating_point:
            continue
        other = build_model(small_preset(name), 20, 0).eval()
        assert other.encoder_digest() == model.encoder_digest()
        other.state_dict()[key].add_(0.5)
        with torch.no_grad():
            same = torch.equal(model.encode(x)[0], other.encode(x)[0])
        if not same:
            assert other.encoder_digest() != model.encoder_digest()
        if "decoder" in key:
            assert same
            assert other.encoder_digest() == model.encoder_digest()
