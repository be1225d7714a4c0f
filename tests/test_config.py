"""Run and node settings: unknown keys and wrong values are refused with the mend."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from common.config import OF_TASK, RunConfig, run_folder
from common.errors import ConfigError
from common.node_config import NodeConfig
from common.presets import PRESETS, resolve


def parse(**values):
    keys = {key.replace("_", "-"): value for key, value in values.items()}
    return RunConfig.parse(keys, where="settings")


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'batch-kye': did you mean 'batch-key'\?"):
        parse(batch_kye="x")


def test_every_fault_is_named_at_once():
    with pytest.raises(ConfigError) as error:
        parse(rounds=-1, seed="soon", preset="defualt", ronds=2)
    said = str(error.value)
    assert said.startswith("settings: ")
    for fault in ("rounds = -1", "seed = 'soon'", "preset = 'defualt'", "did you mean 'rounds'"):
        assert said.count(fault) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("min_sites", 0),
        ("deadline", 0.0),
        ("deadline", float("nan")),
        ("max_padded", 1.0),
        ("n_top_genes", 1),
        ("learning_rate", -1e-3),
        ("cell_type_key", ""),
        ("output", "corrected"),
        ("rounds", 2.5),
        ("seed", 2**31),
    ],
)
def test_a_value_out_of_range_is_refused(key, value):
    with pytest.raises(ConfigError, match=f"{key.replace('_', '-')} = "):
        parse(**{key: value})


def test_flat_settings_come_back_the_same():
    config = parse(rounds=3, hidden="32,16", on_site_error="continue", learning_rate=0.25)
    flat = config.flat()
    assert (flat["rounds"], flat["on-site-error"], flat["learning-rate"]) == (3, "continue", 0.25)
    assert RunConfig.parse(flat, where="again") == config


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        RunConfig().rounds = 3


def test_fewer_sites_than_a_sum_needs_are_refused():
    with pytest.raises(ConfigError, match="n-sites = 2 is below min-sites = 3"):
        parse(n_sites=2, min_sites=3)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "CPU", "cuda:x"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(ConfigError, match="device"):
        parse(device=device)


def test_a_site_must_name_its_file():
    with pytest.raises(ConfigError, match="data-path"):
        NodeConfig.parse({}, where="node config")


def test_values_of_the_run_replace_the_presets():
    preset = resolve(parse(rounds=3, hidden="32,16", batch_size=0))
    assert (preset.training.rounds, preset.shape.hidden) == (3, (32, 16))
    assert preset.training.batch_size == PRESETS["default"].training.batch_size
    assert resolve(parse(preset="fedscgen")) == PRESETS["fedscgen"]


@pytest.mark.parametrize(("key", "value"), [("hidden", "32,0"), ("batch_size", 1)])
def test_sizes_too_small_to_train_are_refused(key, value):
    with pytest.raises(ConfigError, match=key.replace("_", "-")):
        resolve(parse(**{key: value}))


def test_where_a_run_is_kept():
    assert run_folder(parse(out="~/runs/a"), 7) == Path.home() / "runs" / "a"
    assert run_folder(parse(), 7) == Path.home() / "syncytium-runs" / "7"
    with pytest.raises(ConfigError, match=r"out = 'runs/a': `flwr run` needs an absolute path"):
        run_folder(parse(out="runs/a"), 7)


def test_a_masked_sum_is_of_two_sites_at_least():
    with pytest.raises(ConfigError, match=r"min-sites = 1 with secure-sum = masked: a sum of one"):
        parse(secure_sum="masked", min_sites=1)
    assert parse(secure_sum="off", min_sites=1).min_sites == 1
    with pytest.raises(
        ConfigError, match="for a single site set secure-sum = off and min-sites = 1"
    ):
        parse(n_sites=1)


def test_settings_of_another_task_are_refused_by_name():
    with pytest.raises(ConfigError) as error:
        parse(task="classify", output="both", latent_dim=4, classifier="svm")
    said = str(error.value)
    assert "output = 'both' is not of task = classify; leave it out" in said
    assert "latent-dim = 4 is not of task = classify" in said
    assert "classifier" not in said
    with pytest.raises(ConfigError, match=r"test-share = 0\.3 is not of task = correct"):
        parse(test_share=0.3)


def test_some_cells_are_left_to_train():
    with pytest.raises(ConfigError, match=r"validation-share = 0\.6 and .* leave no cell to train"):
        parse(task="classify", validation_share=0.6, test_share=0.5)


def test_every_setting_is_of_all_tasks_or_of_one():
    assert not set(OF_TASK["correct"]) & set(OF_TASK["classify"])
    assert set(RunConfig.model_fields) > set(OF_TASK["correct"]) | set(OF_TASK["classify"])
