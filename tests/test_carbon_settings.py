"""A site's file of hours before a run: its settings, `syncytium check`, a node's start."""

import time

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.run import execute
from client.node.preflight import check_site
from common.carbon_check import check_carbon_file
from common.config import RunConfig
from common.errors import ConfigError
from common.node_config import NodeConfig
from tests.carbon_files import HOUR, carbon_csv
from tests.small_sites import three_sites, write_sites

NOW = time.time()
FULL_HOUR = NOW - NOW % HOUR


@pytest.mark.parametrize("config", [RunConfig, NodeConfig])
def test_an_action_needs_a_file(config):
    given = {"data-path": "a.h5ad"} if config is NodeConfig else {}
    with pytest.raises(ConfigError, match="carbon-action = delay goes by the hours of a file: nam"):
        config.parse({**given, "carbon-action": "delay"}, where="test")
    read = config.parse({**given, "carbon-action": "delay", "carbon-file": "a.csv"}, where="test")
    assert read.carbon_max_delay == 6 * HOUR
    with pytest.raises(ConfigError, match=r"carbon-action = 'wait': .*'delay' or 'fewer-epochs'"):
        config.parse({**given, "carbon-action": "wait", "carbon-file": "a.csv"}, where="test")


@pytest.mark.parametrize(("preset", "strategy"), [("default", ""), ("default", "fedsgd")])
def test_no_epochs_no_fewer_epochs(preset, strategy):
    given = {"preset": preset, "strategy": strategy, "allow-fewer-epochs": True}
    with pytest.raises(ConfigError, match="allow-fewer-epochs = true: with strategy = fedsgd"):
        RunConfig.parse(given, where="test")
    RunConfig.parse({**given, "strategy": "fedavg"}, where="test")


def test_a_real_site_has_its_own(tmp_path):
    values = {"carbon-file": "a.csv", "carbon-action": "delay"}
    with pytest.raises(ConfigError, match=r"carbon-file, carbon-action: each real site sets this"):
        execute(values, tmp_path / "out", superlink="here")


def test_check_tells_what_the_file_has(tmp_path):
    path = carbon_csv(tmp_path / "a.csv", FULL_HOUR, [100, 200, 400])
    found = check_carbon_file(str(path), FULL_HOUR + 1)
    assert found.level == "ok"
    assert "g_per_kwh of 3 hours from " in found.text
    assert "100 to 400, median 200; now 100" in found.text


def test_check_at_the_command_line(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    good = carbon_csv(tmp_path / "good.csv", FULL_HOUR, [100] * 9)
    old = carbon_csv(tmp_path / "old.csv", FULL_HOUR - 500 * 24 * HOUR, [100] * 9)
    command = ["check", str(data / "site-1.h5ad"), "--carbon-file"]
    done = CliRunner().invoke(app, [*command, str(good)])
    assert (done.exit_code, "median 100" in done.stdout) == (0, True)
    done = CliRunner().invoke(app, [*command, str(old)])
    assert done.exit_code == 1
    assert "another year" in done.stdout.replace("\n", " ")
    assert "fix: give a file with the hours of the run" in done.stdout
    assert done.stdout.rstrip().endswith("site-1.h5ad: not ready for correct")


def test_a_node_starts_all_the_same(tmp_path, capsys):
    data = write_sites(tmp_path / "data", three_sites())
    config = {"data-path": str(data / "site-1.h5ad"), "output-dir": str(tmp_path / "out")}
    check_site({**config, "carbon-file": str(tmp_path / "none.csv")})
    assert "none.csv cannot be read" in capsys.readouterr().err
    carbon_csv(tmp_path / "good.csv", FULL_HOUR, [100] * 9)
    check_site({**config, "carbon-file": str(tmp_path / "good.csv")})
    assert capsys.readouterr().err == ""
