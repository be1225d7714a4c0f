"""Runs with each strategy on masked sums, end to end, and the settings that they read."""

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAdam

from common.bundle import Bundle
from common.config import RunConfig
from common.errors import ConfigError
from common.models.build import build_model, parameter_names
from common.models.state import averaged_names, state_of
from common.presets import PRESETS, resolve
from common.strategy_names import OF_PRESET, READS, ROBUST, SETTINGS, StrategyName
from strategies.by_name import strategy_of
from tests.small_sites import TINY, federate, lines, run_json, three_sites, write_sites

SEED = 42
# fedsgd refuses batch norm: tests/test_equals_pooled.py runs it.
ON_SUMS = [name for name in READS if name not in (*ROBUST, "fedsgd")]
# A constant learning rate, and batch norm.
PLAIN = {"preset": "fedscgen"}
FULL_MOMENTUM = {"server_learning_rate": 1.0, "server_momentum": 0.9}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("strategies") / "data", three_sites())


@pytest.fixture(scope="module")
def fedavg(data, tmp_path_factory):
    """The state before and after one and two rounds of FedAvg."""
    folder = tmp_path_factory.mktemp("fedavg")
    values = {key.replace("_", "-"): value for key, value in {**TINY, **PLAIN}.items()}
    preset = resolve(RunConfig.parse(values, where="test"))
    states = [state_of(build_model(preset, TINY["n_top_genes"], SEED))]
    for n_rounds in (1, 2):
        federate(folder / str(n_rounds), data, 3, **{**PLAIN, "rounds": n_rounds})
        states.append(Bundle.load(folder / str(n_rounds) / "bundle").state)
    return states, parameter_names(preset)


@pytest.mark.parametrize("name", ON_SUMS)
def test_a_masked_run_finishes_and_equals_a_plain_one(data, tmp_path, name, fedavg):
    states, parameters = fedavg
    for kind in ("masked", "off"):
        out = tmp_path / kind
        run = federate(out, data, 3, strategy=name, secure_sum=kind, **PLAIN)
        assert run["status"] == "finished"
        assert run["n_corrected"] == sum(s.n_obs for s in three_sites())
    masked, plain = (Bundle.load(tmp_path / kind / "bundle").state for kind in ("masked", "off"))
    for key, value in masked.items():
        np.testing.assert_array_equal(value, plain[key], err_msg=key)
        assert np.isfinite(value).all()
        assert not key.endswith("running_var") or (value > 0).all()
    log = lines(tmp_path / "masked/sites/site-1/outbox.jsonl")
    update = next(f for line in log for f in line.get("fields", ()) if f["field"] == "update")
    assert update["visibility"] == "masked"
    same = all((masked[key] == states[2][key]).all() for key in parameters)
    assert same == (name == "fedavg")


@pytest.mark.parametrize("bits", [64, 32])
def test_masked_steps_of_all_sites_equal_plain_ones(data, tmp_path, bits):
    """Narrow sums are rounded at random, right on average: Adam makes whole steps of that."""
    settings = {"rounds": 4, "strategy": "fedsgd", "preset": "default"}
    masked, plain = tmp_path / "masked", tmp_path / "plain"
    federate(masked, data, 3, secure_sum="masked", ring_bits=bits, **settings)
    federate(plain, data, 3, secure_sum="off", **settings)
    one, two = (Bundle.load(out / "bundle").state for out in (masked, plain))
    differences = {key: np.abs(value - two[key]) for key, value in one.items()}
    if bits == 64:
        assert max(d.max() for d in differences.values()) == 0
    else:
        assert 0 < np.mean(np.concatenate([d.ravel() for d in differences.values()])) < 1e-4


def test_momentum_lasts_over_the_rounds_and_is_of_parameters_only(data, tmp_path, fedavg):
    """Round 1 as FedAvg, v_1 = w_1 - w_0; then w_1 + 0.9 v_1 + what FedAvg adds in round 2."""
    (w_0, w_1, w_2), parameters = fedavg
    federate(tmp_path / "out", data, 3, strategy="fedavgm", **FULL_MOMENTUM, **PLAIN)
    state = Bundle.load(tmp_path / "out/bundle").state
    for key in averaged_names(state):
        momentum = 0.9 * (w_1[key] - w_0[key]) if key in parameters else 0
        np.testing.assert_allclose(state[key], w_2[key] + momentum, atol=1e-6, err_msg=key)
    assert max(np.abs(w_1[key] - w_0[key]).max() for key in parameters) > 1e-3


def test_without_mu_fedprox_is_fedavg_to_the_last_bit(data, tmp_path, fedavg):
    federate(tmp_path / "out", data, 3, strategy="fedprox", proximal_mu=0.0, **PLAIN)
    state = Bundle.load(tmp_path / "out/bundle").state
    for key, value in fedavg[0][2].items():
        np.testing.assert_array_equal(state[key], value, err_msg=key)


def test_the_sites_read_mu(data, tmp_path, fedavg):
    (w_0, _, _), parameters = fedavg
    settings = {**PLAIN, "rounds": 1, "local_epochs": 8}
    moved = []
    for mu in (0.0, 10.0):
        out = tmp_path / str(mu)
        federate(out, data, 3, strategy="fedprox", proximal_mu=mu, **settings)
        state = Bundle.load(out / "bundle").state
        moved.append(sum(((state[key] - w_0[key]) ** 2).sum() for key in parameters))
    assert 0 < moved[1] < 0.25 * moved[0]


def test_a_strategy_works_in_32_bits(data, tmp_path):
    """FedAdam divides by the change's size, so that rounding shows most."""
    for bits in (64, 32):
        settings = {"strategy": "fedadam", "ring_bits": bits, **PLAIN}
        federate(tmp_path / str(bits), data, 3, **settings)
    wide, narrow = (Bundle.load(tmp_path / bits / "bundle").state for bits in ("64", "32"))
    differences = {key: np.abs(wide[key] - narrow[key]).max() for key in averaged_names(wide)}
    assert 0 < max(differences.values()) < 1e-3


def parse(**values):
    settings = {key.replace("_", "-"): value for key, value in values.items()}
    return RunConfig.parse(settings, where="run config")


@pytest.mark.parametrize("name", READS)
def test_flowers_class_of_that_name_is_used(name):
    config = parse(strategy=name, secure_sum="off")
    strategy = strategy_of(config, 5, resolve(config).training)
    assert type(strategy).__name__.lower() == name
    flowers = FedAdam if name == "fedsgd" else type(strategy)
    assert isinstance(strategy, flowers)
    assert flowers.__module__.startswith("flwr.serverapp.strategy.")


def test_every_name_says_what_it_reads():
    assert set(READS) == set(StrategyName.__args__)
    assert set(OF_PRESET) == set(PRESETS)
    assert set(SETTINGS) <= set(RunConfig.model_fields)


def test_an_unknown_strategy_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"strategy = 'fedadm': .*'fedadam'.*'fedtrimmedavg'"):
        parse(strategy="fedadm")


def test_a_setting_that_the_strategy_does_not_read_is_refused():
    with pytest.raises(ConfigError) as caught:
        parse(proximal_mu=0.5, tau=0.2)
    assert "proximal-mu = 0.5 is read by fedprox, not by strategy = fedsgd" in str(caught.value)
    assert "tau = 0.2 is read by fedadam, fedyogi, fedadagrad" in str(caught.value)
    assert parse(strategy="fedprox", proximal_mu=0.5).proximal_mu == 0.5
    with pytest.raises(ConfigError, match="server-momentum = 0 is read by fedavgm"):
        parse(strategy="fedadam", server_momentum=0.0)


def test_a_run_that_diverges_names_the_servers_rate(data, tmp_path):
    """A site refuses what training made of a model that the server's steps have ruined."""
    from common.errors import SiteFailure

    settings = {"strategy": "fedavgm", "server_learning_rate": 1e30, **PLAIN}
    with pytest.raises(SiteFailure, match=r"diverged in round 2: .* lower .* server-learn"):
        federate(tmp_path / "out", data, 3, **settings)
    assert run_json(tmp_path / "out")["status"] == "failed"
