"""A run's own values over a preset's, one at a time."""

from dataclasses import asdict, replace

import pytest

from common.config import RunConfig
from common.errors import ConfigError, InputError
from common.models.build import build_model
from common.models.registry import MODELS
from common.presets import LOCAL_TRAINING, PRESETS, preset_of, preset_values, resolve
from common.strategy_names import OF_PRESET, READS, ROBUST

OWN = {
    "rounds": 77,
    "local-epochs": 5,
    "batch-size": 2,
    "learning-rate": 0.25,
    "hidden": "9,7,5",
    "latent-dim": 4,
}


def resolved(preset: str, **values) -> dict:
    keys = {key.replace("_", "-"): value for key, value in values.items()}
    return asdict(resolve(RunConfig.parse({"preset": preset, **keys}, where="test")))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("key", OWN)
def test_a_value_of_the_run_replaces_that_of_the_preset_alone(name, key):
    expected = asdict(PRESETS[name])
    if key == "local-epochs" and not expected["training"]["local_epochs"]:
        with pytest.raises(ConfigError, match=r"local-epochs = 5: .* a round is one step"):
            resolved(name, local_epochs=5)
        return
    part = "shape" if key in ("hidden", "latent-dim") else "training"
    field = key.replace("-", "_")
    assert field in expected[part]
    expected[part][field] = (9, 7, 5) if key == "hidden" else OWN[key]
    assert resolved(name, **{key: OWN[key]}) == expected


def test_the_default_network_is_trained_at_the_sites_where_the_strategy_does_so():
    assert resolved("default")["training"] == resolved("default", strategy="fedsgd")["training"]
    for strategy in set(READS) - {"fedsgd", *ROBUST}:
        training = resolved("default", strategy=strategy, rounds=7)["training"]
        assert training == asdict(replace(LOCAL_TRAINING, rounds=7, strategy=strategy))
    given = PRESETS["fedscgen"]
    training = replace(given.training, strategy="fedadam")
    assert resolved("fedscgen", strategy="fedadam") == asdict(replace(given, training=training))


def test_the_strategy_of_a_preset_is_that_of_its_training():
    assert {name: preset.training.strategy for name, preset in PRESETS.items()} == OF_PRESET


@pytest.mark.parametrize("name", PRESETS)
def test_networks_of_bundles_before_fedsgd_are_known(name):
    values = preset_values(PRESETS[name])
    assert preset_of(values) == PRESETS[name]
    for key in ("strategy", "patience"):
        del values["training"][key]
    old = preset_of(values)
    assert (old.training.strategy, old.training.patience) == ("fedavg", 5)
    assert (old.shape, old.model) == (PRESETS[name].shape, PRESETS[name].model)
    del values["training"]["rounds"]
    with pytest.raises(InputError, match="not one that this version makes"):
        preset_of(values)


def test_patience_is_the_presets_where_the_run_says_none():
    assert [resolved(n)["training"]["patience"] for n in ("default", "fedscgen")] == [0, 5]
    assert resolved("default", strategy="fedprox")["training"]["patience"] == 5
    for preset in PRESETS:
        assert [resolved(preset, patience=n)["training"]["patience"] for n in (0, 3)] == [0, 3]


def test_batch_norm_has_no_gradient_of_all_cells():
    with pytest.raises(ConfigError, match=r"strategy = fedsgd: batch norm .* take fedavg, or pres"):
        resolved("fedscgen", strategy="fedsgd")


@pytest.mark.parametrize("name", PRESETS)
def test_zero_and_empty_keep_the_presets(name):
    kept = {key: type(value)() for key, value in OWN.items()}
    assert set(kept.values()) == {0, ""}
    assert resolved(name, **kept) == resolved(name) == asdict(PRESETS[name])


@pytest.mark.parametrize("hidden", ["0", "32,0", "-4", "32,", ",32", "32;16", "32, 16", "wide"])
def test_widths_that_are_none_are_refused(hidden):
    with pytest.raises(ConfigError, match=f"hidden = '{hidden}'"):
        resolved("default", hidden=hidden)


def test_a_mini_batch_of_one_cell_is_refused():
    with pytest.raises(ConfigError, match=r"batch-size = 1: .* at least 2 cells"):
        resolved("default", batch_size=1)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_with_the_runs_widths(name):
    config = RunConfig.parse({"preset": name, "hidden": "9,7,5", "latent-dim": 4}, where="test")
    preset = resolve(config)
    model = build_model(preset, 30, 0)
    assert isinstance(model, MODELS.get(preset.model))
    widths = [
        p.shape for n, p in model.named_parameters() if n.startswith("encoder") and p.ndim > 1
    ]
    assert widths == [(9, 30), (7, 9), (5, 7)]
    assert model.mean.weight.shape == (4, 5)
