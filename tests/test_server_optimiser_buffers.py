"""A server optimiser steps on parameters only: batch norm's running variances stay positive."""

import numpy as np
import pytest
import torch

from common.config import RunConfig
from common.models.build import build_model, parameter_names
from common.models.state import averaged_names, change, moved, state_of
from common.training import fit
from strategies.by_name import strategy_of
from strategies.fedavg import SecureFedAvg
from tests.expression import CPU, small_matrix, small_preset
from tests.flower_replies import CONTENT, N_CELLS, one_step

PRESET = small_preset("fedscgen", batch_size=16)
# Flower's own defaults, a network whose activations vary little, and time for momentum to carry on.
FLOWERS = {"server-learning-rate": 0.1, "tau": 1e-3}
BETA_1 = {"fedadam": {"beta-1": 0.9}, "fedyogi": {"beta-1": 0.9}, "fedadagrad": {}}
N_ROUNDS = 16


def rounds(name, trained):
    """The state after each round, and the mean that the sites alone would make of it."""
    values = {"strategy": name, **FLOWERS, **BETA_1[name]}
    strategy = strategy_of(RunConfig.parse(values, where="test"))
    model, matrix = build_model(PRESET, 20, 0), small_matrix()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight *= 0.1
    state = {key: value.copy() for key, value in state_of(model).items()}
    for round_ in range(1, N_ROUNDS + 1):
        for key, value in state_of(model).items():
            value[...] = state[key]
        fit(model, matrix, np.arange(60), PRESET.training, round_=round_, seed=1, device=CPU)
        update = change(state_of(model), state)
        fed = {"strategy": strategy, "trained": trained}
        mean = moved(state, update)
        state = one_step(SecureFedAvg(state, N_CELLS, **fed, **CONTENT), round_, update)
        yield state, mean


def smallest_variance(state):
    return min(value.min() for name, value in state.items() if name.endswith("running_var"))


@pytest.mark.parametrize("name", ["fedadam", "fedyogi", "fedadagrad"])
def test_running_variances_stay_positive_and_are_the_mean(name):
    trained = parameter_names(PRESET)
    for state, mean in rounds(name, trained):
        assert smallest_variance(state) > 0
        for key, value in state.items():
            if key in trained:
                continue
            np.testing.assert_array_equal(value, mean[key], err_msg=key)
        assert any((state[key] != mean[key]).any() for key in trained)


@pytest.mark.parametrize("name", ["fedadam", "fedyogi"])
def test_fed_with_buffers_the_same_optimiser_makes_one_negative(name):
    """The control: the test above would see it."""
    everything = averaged_names(state_of(build_model(PRESET, 20, 0)))
    assert min(smallest_variance(state) for state, _ in rounds(name, everything)) < 0


def test_parameters_and_buffers_are_told_apart():
    state = state_of(build_model(PRESET, 20, 0))
    buffers = set(averaged_names(state)) - set(parameter_names(PRESET))
    assert {name.rpartition(".")[2] for name in buffers} == {"running_mean", "running_var"}
    assert len(buffers) == 2 * 3
    # Without batch norm only what training keeps is left over.
    plain = small_preset("default")
    left = set(state_of(build_model(plain, 20, 0))) - set(parameter_names(plain))
    assert left == {"linear_decoder.bias", "decoder.1.bias"}
