"""The `syncytium` command: exit codes, what it says, what it refuses before Flower starts."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cli.console import console, stops
from cli.main import app
from cli.run import read_settings, summarise
from common.config import RunConfig
from common.errors import ConfigError
from tests.small_sites import federate, leftovers, site, three_sites, write_sites

ROOT = Path(__file__).parent.parent

CONF = """
task = "correct"
rounds = 2
n-top-genes = 40
"""


@pytest.fixture(autouse=True)
def no_flower(monkeypatch):
    """Nothing here may start a SuperLink."""

    def started(*_, **__):
        raise AssertionError("a SuperLink was started")

    monkeypatch.setattr("cli.run.own_superlink", started)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("cli") / "data", three_sites())


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "conf.toml"
    path.write_text(CONF)
    return path


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(*arguments):
    """What a command says on standard error when it ends with exit code 1, and no traceback."""
    done = call(*arguments)
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def unwrapped(shown):
    """The words of a help page, without the frame of its table and the breaks in its lines."""
    return " ".join(shown.replace("│", " ").split())


COMMANDS = (
    "demo",
    "check",
    "split",
    "run",
    "evaluate",
    "report",
    "join",
    "label",
    "fine-tune",
    "compare",
    "policy",
    "keys",
    "certs",
)


def test_help_lists_the_commands():
    done = call("--help")
    assert done.exit_code == 0
    for command in COMMANDS:
        assert f" {command} " in done.stdout
    assert call().exit_code != 0


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command):
    done = call(command, "--help")
    assert done.exit_code == 0
    assert f"Usage: root {command}" in done.stdout or f" {command} " in done.stdout
    shown = unwrapped(done.stdout)
    for parameter in get_command(app).commands[command].params:
        # Rich takes what stands in square brackets for markup.
        assert parameter.help, parameter.name
        assert parameter.help in shown
    if default := {"demo": "runs/demo-DATE-TIME", "join": "as the bundle's run"}.get(command):
        assert f"[default: ({default})]" in shown


def test_an_unknown_command_is_a_usage_error():
    done = call("corect")
    assert done.exit_code == 2
    assert "corect" in done.stderr


def test_check_of_a_good_file(data):
    done = call("check", data / "site-1.h5ad")
    assert done.exit_code == 0
    assert "130 cells" in done.stdout
    assert done.stdout.rstrip().endswith("site-1.h5ad: ready for correct")


def test_check_of_a_bad_file(tmp_path):
    faulty = site({("p", "A"): 30})
    faulty.X = -faulty.X
    faulty.write_h5ad(tmp_path / "site.h5ad")
    done = call("check", tmp_path / "site.h5ad", "--batch-key", "lane")
    assert done.exit_code == 1
    assert "no column 'lane'" in done.stdout
    assert "z-scored" in done.stdout
    assert "fix: " in done.stdout
    assert done.stdout.rstrip().endswith("site.h5ad: not ready for correct")


def test_check_of_a_missing_file(tmp_path):
    done = call("check", tmp_path / "absent.h5ad")
    assert done.exit_code == 1
    assert "absent.h5ad does not exist" in done.stdout


def test_split(tmp_path):
    sites = three_sites()
    whole = anndata.concat(sites)
    whole.write_h5ad(tmp_path / "whole.h5ad")
    done = call("split", tmp_path / "whole.h5ad", "--by", "batch", "--out", tmp_path / "sites")
    assert done.exit_code == 0
    names = ["p", "q", "r", "s"]
    assert [line.split("/")[-1] for line in done.stdout.split()] == [f"{n}.h5ad" for n in names]
    for name in names:
        own = anndata.read_h5ad(tmp_path / "sites" / f"{name}.h5ad")
        assert list(own.obs_names) == list(whole.obs_names[whole.obs["batch"] == name])
    again = refused("split", tmp_path / "whole.h5ad", "--by", "batch", "--out", tmp_path / "sites")
    assert "exist already" in again


def test_split_by_an_absent_column(data, tmp_path):
    said = refused("split", data / "site-1.h5ad", "--by", "bach", "--out", tmp_path / "out")
    assert "no column 'bach'" in said
    assert "did you mean 'batch'" in said
    assert not (tmp_path / "out").exists()


def test_evaluate(data, tmp_path):
    federate(tmp_path / "run", data, 3, output="both")
    done = call("evaluate", tmp_path / "run")
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert result["n_cells"] == 298
    for label in ("uncorrected", "decoded", "residual"):
        assert label in done.stdout
    assert done.stdout.rstrip().endswith("evaluation.json")
    assert leftovers(tmp_path / "run") == []
    subsample = call("evaluate", tmp_path / "run", "--max-cells", 100)
    assert subsample.exit_code == 0
    again = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert again["n_cells"] == 298
    assert again["subsample"]["n_cells"] == 100


def test_evaluate_of_gathered_files(data, tmp_path):
    federate(tmp_path / "run", data, 3)
    gathered = tmp_path / "gathered"
    gathered.mkdir()
    for path in (tmp_path / "run/sites").iterdir():
        (path / "corrected.h5ad").rename(gathered / f"{path.name}.h5ad")
    done = call("evaluate", gathered)
    assert done.exit_code == 0, done.output
    assert "decoded" in done.stdout
    result = json.loads((gathered / "evaluation.json").read_text())
    assert result["files"] == ["site-1.h5ad", "site-2.h5ad", "site-3.h5ad"]
    assert result["settings"]["embedding"]
    assert set(result["per_type"]) == {"A", "B", "C"}
    with h5py.File(gathered / "site-2.h5ad", "r+") as file:
        file["uns/syncytium/run"][()] = "8"
    assert "was written by run 8" in refused("evaluate", gathered)


def test_evaluate_of_what_is_no_run(tmp_path):
    said = refused("evaluate", tmp_path)
    assert "there are no corrected files" in said
    assert "give the folder of a finished simulation" in said
    assert list(tmp_path.iterdir()) == []


def test_evaluate_of_files_of_another_run(data, tmp_path):
    """Corrected files and bundle must belong together."""
    for name, genes in (("one", 40), ("two", 30)):
        federate(tmp_path / name, data, 3, n_top_genes=genes)
    (tmp_path / "one/bundle").rename(tmp_path / "old")
    (tmp_path / "two/bundle").rename(tmp_path / "one/bundle")
    assert "other genes than the run's bundle" in refused("evaluate", tmp_path / "one")
    (tmp_path / "one/sites/site-1/corrected.h5ad").unlink()
    (tmp_path / "one/sites/site-2/corrected.h5ad").unlink()
    plain = tmp_path / "one/sites/site-3/corrected.h5ad"
    other = site({("p", "A"): 30})
    other.obsm["X_latent"] = np.zeros((30, 2))
    other.write_h5ad(plain)
    assert "was not written by a run" in refused("evaluate", tmp_path / "one")
    (tmp_path / "one/bundle/card.json").unlink()
    assert "card.json is missing" in refused("evaluate", tmp_path / "one")
    assert not (tmp_path / "one/evaluation.json").exists()


def test_run_without_a_conf(data, tmp_path):
    said = refused("run", tmp_path / "absent.toml", "--data", data, "--out", tmp_path / "out")
    assert "absent.toml; conf/correct.toml is one to copy" in said


def test_run_with_a_conf_that_is_no_toml(data, tmp_path):
    (tmp_path / "conf.toml").write_text("rounds == 2")
    said = refused("run", tmp_path / "conf.toml", "--data", data, "--out", tmp_path / "out")
    assert "conf.toml cannot be read as TOML" in said


def test_run_with_an_unknown_key(data, conf, tmp_path):
    out = tmp_path / "out"
    said = refused("run", conf, "--data", data, "--out", out, "--set", "n-top-gene=5")
    assert "conf.toml: unknown key 'n-top-gene': did you mean 'n-top-genes'" in said
    conf.write_text("lerning-rate = 0.1\n")
    said = refused("run", conf, "--data", data, "--out", out)
    assert "unknown key 'lerning-rate': did you mean 'learning-rate'" in said
    assert not out.exists()


def test_run_with_a_value_that_does_not_fit(data, conf, tmp_path):
    said = refused("run", conf, "--data", data, "--out", tmp_path / "out", "--set", "output=decode")
    assert "output = 'decode': input should be 'decoded', 'residual' or 'both'" in said
    assert "write it as key=value" in refused(
        "run", conf, "--data", data, "--out", tmp_path / "out", "--set", "rounds"
    )


def test_run_without_data(conf, tmp_path):
    said = refused("run", conf, "--out", tmp_path / "out")
    assert "give --data a folder with one .h5ad per site, or --superlink a name" in said
    assert not (tmp_path / "out").exists()


def test_real_sites_take_no_columns_from_the_run(conf, tmp_path):
    out = tmp_path / "out"
    donors = ("--set", "cell-type-key=donor", "--set", "device=cpu")
    said = refused("run", conf, "--superlink", "hospitals", "--out", out, *donors)
    assert "device, cell-type-key: each real site sets this in its own --node-config" in said
    assert not out.exists()


@pytest.mark.parametrize("task", ["correct", "classify", "synthesize"])
def test_a_tasks_own_file_is_for_real_sites_too(tmp_path, task):
    """It gets as far as to look for the SuperLink."""
    out = tmp_path / "out"
    said = refused("run", ROOT / f"conf/{task}.toml", "--superlink", "nowhere", "--out", out)
    assert "--node-config" not in said
    assert "nowhere" in said


def test_settings_that_only_the_whole_run_refuses(data, conf, tmp_path):
    out = tmp_path / "out"
    said = refused("run", conf, "--data", data, "--out", out, "--set", "min-sites=4")
    assert "n-sites = 3 is below min-sites = 4" in said
    said = refused("run", conf, "--data", data, "--out", out, "--set", "batch-size=1")
    assert "batch-size = 1: a mini-batch needs at least 2 cells" in said
    assert not out.exists()


def test_run_with_a_missing_or_empty_folder(conf, tmp_path):
    out = tmp_path / "out"
    said = refused("run", conf, "--data", tmp_path / "absent", "--out", out)
    assert "absent: no such folder" in said
    (tmp_path / "empty").mkdir()
    said = refused("run", conf, "--data", tmp_path / "empty", "--out", out)
    assert "there is no .h5ad in it; `syncytium split" in said
    assert not out.exists()


def test_run_into_a_folder_that_holds_a_run(data, conf, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/run.json").write_text("{}")
    said = refused("run", conf, "--data", data, "--out", tmp_path / "out")
    assert "holds a run already; go on with it by --resume" in said
    assert (tmp_path / "out/run.json").read_text() == "{}"


def test_run_into_a_folder_that_cannot_be_made(data, conf, tmp_path):
    (tmp_path / "file").write_text("")
    said = refused("run", conf, "--data", data, "--out", tmp_path / "file" / "out")
    assert "cannot be made" in said


def test_settings_are_read_as_toml_or_text(conf):
    values = read_settings(
        conf,
        [
            "rounds=7",
            "learning-rate=1e-4",
            "output=residual",
            'preset="fedscgen"',
            "hidden=32",
            "hidden=800,800",
            "batch-key=2021",
            "gene-column=a=b",
            "layer=",
        ],
    )
    assert values == {
        "task": "correct",
        "n-top-genes": 40,
        "rounds": 7,
        "learning-rate": 1e-4,
        "output": "residual",
        "preset": "fedscgen",
        "hidden": "800,800",
        "batch-key": "2021",
        "gene-column": "a=b",
        "layer": "",
    }
    assert read_settings(conf, ["hidden=32"])["hidden"] == "32"
    # The last one counts.
    assert read_settings(conf, ["seed=1", "seed=2"])["seed"] == 2
    with pytest.raises(ConfigError, match="--set 'rounds': write it as key=value"):
        read_settings(conf, ["rounds"])


def test_the_shipped_conf_is_valid():
    conf = Path(__file__).parent.parent / "conf" / "correct.toml"
    parsed = RunConfig.parse(read_settings(conf, []), where="conf")
    # It spells out defaults, and changes none.
    assert parsed == RunConfig()


def test_the_end_of_a_run_says_what_was_lost(capsys, tmp_path):
    result = {
        "sites": {"a": {}, "b": {}, "c": {}},
        "lost_sites": {"b": "no answer within 5 s", "node 7": "no file"},
        "n_rounds": 9,
        "stopped_early": 6,
        "kept_round": 1,
        "n_corrected": 1234,
        "n_sites_corrected": 2,
        "n_shifted": 0,
        "n_genes": 40,
        "unshifted_types": {"B": "held by one batch only"},
        "identity": True,
    }
    summarise(result, tmp_path, console())
    said = capsys.readouterr().out
    for part in (
        "1,234 cells of 2 sites",
        "stopped early in round 6",
        "lost b: no answer within 5 s",
        "not shifted B: held by one batch only",
        "the correction is the identity",
    ):
        assert part in said


def test_every_phase_has_words_for_the_progress():
    from cli.progress import PHASES as SHOWN
    from common.wire import PHASES

    # Each of these is part of something that is shown.
    assert set(SHOWN) == set(PHASES) - {"meet", "offers", "agree", "reveal", "partial_sums"}


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_request_to_end_does_not_interrupt_the_cleaning_up(second):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)]
    cleaned = []

    def interrupted():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        finally:
            os.kill(os.getpid(), second)
            time.sleep(0.05)
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt), stops():
        interrupted()
    assert cleaned == [True]
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)] == before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stops():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_may_be_started_outside_the_main_thread():
    done = []

    def work():
        with stops():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
