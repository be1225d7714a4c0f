"""Every fault of a table of settings in one message, whatever checks it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import RunConfig
from common.errors import ConfigError
from common.node_config import NodeConfig


def message(values) -> str:
    with pytest.raises(ConfigError) as error:
        RunConfig.parse(values, where="run config")
    return str(error.value)


def test_unknown_keys_and_wrong_values_together():
    text = message({"batch-kye": "x", "rounds": -1, "device": "gpu", "max-padded": float("nan")})
    assert text.startswith("run config: ")
    faults = ["unknown key 'batch-kye'", "rounds = -1", "device = 'gpu'", "max-padded = nan"]
    assert all(fault in text for fault in faults)


def test_too_few_sites_and_a_wrong_value_together():
    text = message({"n-sites": 2, "min-sites": 3, "rounds": -1})
    assert "rounds = -1" in text
    assert "n-sites = 2 is below min-sites = 3" in text


@given(
    rounds=st.integers(0, 10**6),
    max_padded=st.floats(0, 1, exclude_max=True),
    hidden=st.lists(st.integers(0, 999), max_size=3),
    batch_key=st.text(max_size=9),
)
def test_flat_settings_come_back_the_same(rounds, max_padded, hidden, batch_key):
    given_ = {
        "rounds": rounds,
        "max-padded": max_padded,
        "hidden": ",".join(map(str, hidden)),
        "batch-key": batch_key,
    }
    config = RunConfig.parse(given_, where="run config")
    assert config.flat().items() >= given_.items()
    assert RunConfig.parse(config.flat(), where="again") == config
    assert list(config.flat()) == RunConfig.keys()


def test_a_sites_unknown_key_names_the_nearest():
    with pytest.raises(ConfigError, match=r"node config: unknown key 'data_path'.*'data-path'"):
        NodeConfig.parse({"data-path": "a.h5ad", "data_path": "b.h5ad"}, where="node config")
