"""FedProx: the proximal term's gradient, and what it does to local training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from common.models.build import build_model
from common.models.state import load_state, state_of
from common.proximal import ProximalTerm
from common.training import fit
from tests.expression import CPU, flatten, small_matrix, small_preset

PRESET = small_preset("fedscgen", batch_size=16)


def model_away_from(start):
    """A network, and its values changed by a little; with the graph of no loss."""
    torch.manual_seed(2)
    model = build_model(PRESET, 20, 0)
    term = ProximalTerm(model, start)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model, term, before


@pytest.mark.parametrize("mu", [0.0, 0.01, 3.0])
def test_the_gradient_is_that_of_the_papers_objective(mu):
    model, term, before = model_away_from(mu)
    x = small_matrix().scaled(slice(0, 16))
    parameters = list(model.parameters())
    # Li et al. 2018, Algorithm 2, by automatic differentiation.
    model.eval()
    distance = sum((p - w).square().sum() for p, w in zip(parameters, before, strict=True))
    objective = sum(model.losses(x, None)) + mu / 2 * distance
    expected = torch.autograd.grad(objective, parameters)
    sum(model.losses(x, None)).backward()
    term.add_gradient()
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def trained(mu, **training):
    preset = replace(PRESET, training=replace(PRESET.training, **training))
    model = build_model(preset, 20, 0)
    # Copies: the state shares the parameters' memory.
    before = {name: value.copy() for name, value in state_of(model).items()}
    loss = fit(
        model,
        small_matrix(),
        np.arange(60),
        preset.training,
        round_=1,
        seed=5,
        device=CPU,
        proximal_mu=mu,
    )
    return state_of(model), before, loss


def distance(state, before):
    weights = [name for name in state if name.endswith(("weight", "bias"))]
    return np.sqrt(sum(((state[name] - before[name]) ** 2).sum() for name in weights))


def test_mu_holds_the_model_near_its_start():
    moved = [distance(*trained(mu, local_epochs=10)[:2]) for mu in (0.0, 0.1, 1.0, 10.0)]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < 0.2 * moved[0]
    assert moved[-1] > 0


def test_without_mu_nothing_changes_to_the_last_bit():
    plain, _, loss = trained(0.0)
    model = build_model(PRESET, 20, 0)
    assert loss == fit(
        model, small_matrix(), np.arange(60), PRESET.training, round_=1, seed=5, device=CPU
    )
    np.testing.assert_array_equal(flatten(state_of(model)), flatten(plain))


def test_the_term_starts_where_the_model_is_when_it_is_made():
    model, _, _ = model_away_from(1.0)
    load_state(model, state_of(build_model(PRESET, 20, 3)))
    fresh = ProximalTerm(model, 1.0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    fresh.add_gradient()
    assert all((parameter.grad == 0).all() for parameter in model.parameters())
