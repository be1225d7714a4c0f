"""Flower's strategies on one summed reply against the papers' equations, written out in numpy."""

import numpy as np
import pytest

from common.config import RunConfig
from strategies.by_name import SERVER_LEARNING_RATES, strategy_of
from strategies.fedavg import SecureFedAvg
from tests.flower_replies import CONTENT, N_CELLS, one_step

RNG = np.random.default_rng(3)
N = 40
START = RNG.normal(0, 0.3, N)
# What local training would add to the model in each of three rounds: large, small, and changing.
CHANGES = [RNG.normal(0, 0.05, N) * RNG.choice([0.01, 1, 3], N) for _ in range(3)]
ETA, BETA_1, BETA_2, TAU = 0.02, 0.8, 0.95, 2e-3
ADAPTIVE = {"server-learning-rate": ETA, "beta-1": BETA_1, "beta-2": BETA_2, "tau": TAU}


def fedavg(changes):
    """McMahan et al. 2017, Algorithm 1."""
    return START + sum(changes)


def fedavgm(changes):
    """Hsu et al. 2019, section 4.3: v <- beta v + change, w <- w + lr v."""
    w, v = START, 0.0
    for change in changes:
        v = 0.7 * v + change
        w = w + 0.5 * v
    return w


def adaptive(second_moment, beta_1=BETA_1, corrected=False):
    """Reddi et al. 2020, Algorithm 2, from m = v = 0."""

    def run(changes):
        w, m, v = START, 0.0, 0.0
        for t, change in enumerate(changes, start=1):
            m = beta_1 * m + (1 - beta_1) * change
            v = second_moment(v, change**2)
            # Flower's FedAdam adds Adam's bias correction (Kingma & Ba 2014) of one round more.
            bias = np.sqrt(1 - BETA_2 ** (t + 1)) / (1 - beta_1 ** (t + 1)) if corrected else 1
            w = w + ETA * bias * m / (np.sqrt(v) + TAU)
        return w

    return run


CASES = {
    "fedavg": (fedavg, {}),
    "fedprox": (fedavg, {"proximal-mu": 0.3}),
    "fedavgm": (fedavgm, {"server-learning-rate": 0.5, "server-momentum": 0.7}),
    "fedadam": (
        adaptive(lambda v, square: BETA_2 * v + (1 - BETA_2) * square, corrected=True),
        ADAPTIVE,
    ),
    "fedyogi": (
        adaptive(lambda v, square: v - (1 - BETA_2) * square * np.sign(v - square)),
        ADAPTIVE,
    ),
    "fedadagrad": (
        adaptive(lambda v, square: v + square, beta_1=0.0),
        {"server-learning-rate": ETA, "tau": TAU},
    ),
}


def after_rounds(name, settings, changes, dtype, strategy=None):
    config = RunConfig.parse({"strategy": name, **settings}, where="test")
    strategy = strategy or strategy_of(config)
    state = {"layer.weight": START[:30].reshape(6, 5).astype(dtype), "b": START[30:].astype(dtype)}
    for round_, change in enumerate(changes, start=1):
        fed = {"strategy": strategy, "trained": list(state)}
        state = one_step(SecureFedAvg(state, N_CELLS, **fed, **CONTENT), round_, change)
        assert [value.dtype for value in state.values()] == [dtype, dtype]
        assert state["layer.weight"].shape == (6, 5)
    return np.concatenate([value.ravel() for value in state.values()])


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-6)])
@pytest.mark.parametrize("name", CASES)
def test_three_rounds_equal_the_papers(name, dtype, tolerance):
    paper, settings = CASES[name]
    ours = after_rounds(name, settings, CHANGES, dtype)
    np.testing.assert_allclose(ours, paper(CHANGES), atol=tolerance, rtol=0)
    if name not in ("fedavg", "fedprox"):
        assert np.abs(ours - fedavg(CHANGES)).max() > 0.01


@pytest.mark.parametrize("name", ["fedavgm", "fedadam", "fedyogi", "fedadagrad"])
def test_what_a_strategy_remembers_matters(name):
    """With an object of its own in each round, the third would come out otherwise."""
    _, settings = CASES[name]
    kept = after_rounds(name, settings, CHANGES, np.float64)
    config = RunConfig.parse({"strategy": name, **settings}, where="test")
    state = {"w": START}
    for round_, change in enumerate(CHANGES, start=1):
        fed = {"strategy": strategy_of(config), "trained": ["w"]}
        state = one_step(SecureFedAvg(state, N_CELLS, **fed, **CONTENT), round_, change)
    assert np.abs(state["w"] - kept).max() > 1e-3


@pytest.mark.parametrize("name", SERVER_LEARNING_RATES)
def test_zero_is_the_strategys_own_rate(name):
    own = {"server-learning-rate": SERVER_LEARNING_RATES[name]}
    left = after_rounds(name, {}, CHANGES, np.float64)
    np.testing.assert_array_equal(left, after_rounds(name, own, CHANGES, np.float64))
    other = {"server-learning-rate": 2 * SERVER_LEARNING_RATES[name]}
    assert np.abs(left - after_rounds(name, other, CHANGES, np.float64)).max() > 1e-4


def test_momentum_without_momentum_is_fedavg():
    settings = {"server-momentum": 0.0, "server-learning-rate": 1.0}
    np.testing.assert_array_equal(
        after_rounds("fedavgm", settings, CHANGES, np.float32),
        after_rounds("fedavg", {}, CHANGES, np.float32),
    )
