"""Which weights are pruned, how a pruned model travels, and that its zeros stay zero."""

import numpy as np
import pytest

from common.classification.training import OPTIMIZERS, fit_classifier
from common.config import RunConfig
from common.errors import ConfigError, WireError
from common.models.build import build_model, unpruned_names
from common.models.classifiers.recipe import ClassifierTraining
from common.models.pruned_weights import hold_zeros
from common.models.state import load_state, state_of
from common.presets import PRESETS, resolve
from common.pruned import Kept, prune_after, weights_of, without_smallest
from common.training import fit
from server.frozen import require_frozen_settings
from server.rounds import Rounds
from strategies.by_name import strategy_of
from strategies.momentum import momentum_of, thin_momentum
from strategies.records import Request, to_record
from tests.classified import plan_of
from tests.classifier_cells import labelled_cells, small_classifier
from tests.expression import CPU, small_matrix, small_preset

STATE = {
    "a.weight": np.array([[0.1, -3.0, 0.2], [5.0, -0.3, 0.0]], dtype=np.float32),
    "a.bias": np.array([0.01, 0.02], dtype=np.float32),
    "b.weight": np.array([[0.04, -0.05]], dtype=np.float32),
    "n": np.array(3),
}
WEIGHTS = ["a.weight", "b.weight"]


def test_the_smallest_of_all_matrices_go_and_each_keeps_some():
    assert weights_of(STATE, ["a.weight", "a.bias", "b.weight"]) == WEIGHTS
    kept = without_smallest(STATE, WEIGHTS, 0.5)
    # 0, 0.04, 0.1 and 0.2, but not 0.05, b's last.
    assert kept.of["a.weight"].tolist() == [[False, True, False], [True, True, False]]
    assert kept.of["b.weight"].tolist() == [[False, True]]
    assert kept.facts() == {"share": 0.5, "n_weights": 8, "n_kept": 4}
    most = without_smallest(STATE, WEIGHTS, 0.99)
    assert [np.count_nonzero(k) for k in most.of.values()] == [1, 1]
    assert most.of["a.weight"][1, 0]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_it_is_the_share_that_was_asked_for(share):
    rng = np.random.default_rng(0)
    state = {"a": rng.normal(size=(40, 50)), "b": 1e-3 * rng.normal(size=(30, 20))}
    kept = without_smallest(state, state, share)
    n_kept = {name: np.count_nonzero(mask) for name, mask in kept.of.items()}
    assert sum(n_kept.values()) == round((1 - share) * 2600)
    # b is far smaller, and keeps a tenth of its part.
    assert n_kept["b"] >= 0.1 * (1 - share) * 600
    for name, mask in kept.of.items():
        assert np.abs(state[name][mask]).min() >= np.abs(state[name][~mask]).max()


def test_of_equal_weights_the_first_go():
    kept = without_smallest({"a": np.ones((2, 4))}, ["a"], 0.5)
    # One, the first of the largest, is kept whatever its magnitude.
    assert kept.of["a"].tolist() == [[True, False, False, False], [False, True, True, True]]


def sent(kept, state):
    return Request(to_record(kept.values, {"model": kept.thin(state), **kept.arrays}))


def test_a_pruned_model_travels_as_what_is_kept():
    kept = without_smallest(STATE, WEIGHTS, 0.5)
    request = sent(kept, STATE)
    thin = request.arrays("model")
    assert thin["a.weight"].tolist() == [-3.0, 5.0, np.float32(-0.3)]
    assert sum(bits.nbytes for bits in request.arrays("kept").values()) == 2
    model = request.model
    assert list(model) == list(STATE)
    for name, value in STATE.items():
        np.testing.assert_array_equal(
            model[name], np.where(kept.of[name], value, 0) if name in kept.of else value
        )
        assert model[name].dtype == value.dtype
    plain = sent(Kept(), STATE)
    assert not plain.kept
    assert set(plain.values) == set()
    np.testing.assert_array_equal(plain.model["a.weight"], STATE["a.weight"])


@pytest.mark.parametrize(
    ("values", "kept", "thin", "match"),
    [
        ({}, {"a": [255]}, [1.0], r"pruned are \[\], and bits came of \['a'\]"),
        ({"pruned": {"a": [2, 4]}}, {}, [1.0], r"bits came of \[\]"),
        (
            {"pruned": {"a": [3, 4]}},
            {"a": [255]},
            [1.0],
            r"the bits of a, uint8 \(1,\), are not of",
        ),
        (
            {"pruned": {"a": [2, 4]}},
            {"a": [3]},
            [1.0],
            r"a has \(1,\) values, and 2 of its weights",
        ),
        ({"pruned": {"a": [2, 4]}}, {"a": [3]}, [[1.0, 2.0]], r"a has \(1, 2\) values"),
    ],
)
def test_a_message_that_does_not_fit_itself_is_refused(values, kept, thin, match):
    bits = {name: np.array(of, dtype=np.uint8) for name, of in kept.items()}
    groups = {"model": {"a": np.array(thin)}} | ({"kept": bits} if bits else {})
    request = Request(to_record(values, groups))
    with pytest.raises(WireError, match=match):
        _ = request.model


def half(model, names):
    state = state_of(model)
    kept = without_smallest(state, names, 0.5)
    load_state(model, kept.whole(kept.thin(state)))
    return kept


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("actinn", "published"),
        ("scdlc", "published"),
        ("scsmd", "full"),
        ("transformer", "published"),
    ],
)
def test_zeros_stay_zero_in_every_optimiser(name, form, optimizer):
    matrix, labels = labelled_cells()
    model = small_classifier(name, form)
    kept = half(model, weights_of(state_of(model), [n for n, _ in model.named_parameters()]))
    before = {k: value.copy() for k, value in state_of(model).items()}
    training = ClassifierTraining(
        rounds=2,
        local_epochs=2,
        batch_size=30,
        learning_rate=0.05,
        optimizer=optimizer,
        gradient_norm=5.0,
    )
    how = {"seed": 3, "device": CPU, "proximal_mu": 0.1}

    def n_zero():
        state = state_of(model)
        return sum(np.count_nonzero(state[k][~mask]) for k, mask in kept.of.items())

    hold_zeros(model, kept)
    fit_classifier(model, matrix, labels, np.arange(90), training, round_=1, **how)
    assert n_zero() == 0
    after = state_of(model)
    for k, mask in kept.of.items():
        if name != "transformer":
            assert (after[k][mask] != before[k][mask]).any(), k


def test_without_the_hold_they_would_not():
    matrix, preset = small_matrix(), small_preset()
    model = build_model(preset, 20, 0)
    kept = half(model, ["encoder.0.0.weight", "decoder.1.weight"])
    how = {"round_": 1, "seed": 5, "device": CPU}
    fit(model, matrix, np.arange(60), preset.training, **how)
    assert any(state_of(model)[name][~mask].any() for name, mask in kept.of.items())


@pytest.mark.parametrize("name", PRESETS)
def test_no_vae_moves_them(name):
    matrix, preset = small_matrix(), small_preset(name)
    model = build_model(preset, 20, 0)
    names = [n for n, _ in model.named_parameters() if n not in unpruned_names(preset)]
    kept = half(model, weights_of(state_of(model), names))
    assert ("linear_mean.weight" in state_of(model)) == (name == "default")
    assert "linear_mean.weight" not in kept.of
    hold_zeros(model, kept)
    fit(model, matrix, np.arange(60), preset.training, round_=1, seed=5, device=CPU)
    assert not any(state_of(model)[k][~mask].any() for k, mask in kept.of.items())


def test_momentum_is_pruned_alike():
    kept = Kept({"a": np.array([[True, False], [False, True]])})
    rng = np.random.default_rng(0)
    moment = {"a": rng.normal(size=(2, 2)), "b": rng.normal(size=3)}
    config = RunConfig.parse({"strategy": "fedadam"}, where="test")
    adam = strategy_of(config)
    adam.m_t, adam.v_t = dict(moment), {k: v**2 for k, v in moment.items()}
    thin_momentum(adam, ["b", "a"], kept)
    assert adam.m_t["a"].tolist() == [moment["a"][0, 0], moment["a"][1, 1]]
    assert adam.v_t["a"].shape == (2,)
    assert adam.v_t["b"].shape == (3,)
    momentum = strategy_of(RunConfig.parse({"strategy": "fedavgm"}, where="test"))
    momentum.momentum_vector, momentum.current_arrays = [moment["b"], moment["a"]], "before"
    thin_momentum(momentum, ["b", "a"], kept)
    assert [v.shape for v in momentum.momentum_vector] == [(3,), (2,)]
    assert momentum.current_arrays is None
    fresh = strategy_of(RunConfig.parse({"strategy": "fedavg"}, where="test"))
    thin_momentum(fresh, ["b", "a"], kept)
    assert momentum_of(fresh) == {}


def config(**values):
    given = {key.replace("_", "-"): value for key, value in values.items()}
    return RunConfig.parse(given, where="test")


def test_when_it_is_due():
    assert prune_after(config(), 8) == 0
    assert prune_after(config(prune_share=0.5), 8) == 2
    assert prune_after(config(prune_share=0.5), 2) == 1
    assert prune_after(config(prune_share=0.5, prune_round=7), 8) == 7
    for rounds, round_ in ((1, 0), (8, 8), (8, 9)):
        with pytest.raises(ConfigError, match=f"prune-round = {round_ or 1} of {rounds} rounds"):
            prune_after(config(prune_share=0.5, prune_round=round_), rounds)
    with pytest.raises(ConfigError, match="prune-round = 100 of 100 rounds: what is kept"):
        resolve(config(prune_share=0.5, prune_round=100))
    with pytest.raises(ConfigError, match="prune-round = 4 of 4 rounds"):
        plan_of(classifier="actinn", prune_share=0.5, prune_round=4, rounds=4)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_is_a_share(share):
    with pytest.raises(ConfigError, match="prune-share"):
        config(prune_share=share)
    with pytest.raises(ConfigError, match="prune-round = 3 without prune-share"):
        config(prune_round=3)


@pytest.mark.parametrize("classifier", ["logistic", "svm", "xgboost"])
def test_who_does_not_read_it_refuses_it(classifier):
    with pytest.raises(ConfigError, match=r"does not read prune-share = 0\.5, prune-round = 2"):
        plan_of(classifier=classifier, prune_share=0.5, prune_round=2)
    with pytest.raises(ConfigError, match="prune-share: with model = '/b'"):
        require_frozen_settings(config(model="/b", prune_share=0.5))


def test_nothing_to_prune_is_said_before_training():
    rounds = Rounds.__new__(Rounds)
    rounds.config, rounds.prune_after = config(prune_share=0.5), 2
    rounds.trained, rounds.unpruned = ["norm.weight", "norm.bias"], ()
    state = {name: np.zeros(3) for name in rounds.trained}
    with pytest.raises(ConfigError, match=r"prune-share = 0\.5: of norm\.weight, norm\.bias, "):
        rounds.train(state, 10)
    rounds.trained, state["head.weight"] = ["head.weight", "norm.bias"], np.zeros((2, 3))
    rounds._require_prunable(state)
