"""`syncytium fine-tune`: what it asks of a run; the run itself is in tests/test_start_from.py."""

import json

import pytest
from typer.testing import CliRunner

import cli.fine_tune
from cli.main import app
from common.config import RunConfig
from tests.classified import classify, labelled_sites
from tests.in_process import run_in_process
from tests.small_sites import run_json, site, write_sites

NEW = {("t", "A"): 40, ("t", "B"): 30, ("t", "N"): 25}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fine-tune")
    data = write_sites(folder / "data", labelled_sites())
    for name in ("actinn", "logistic"):
        settings = {"classifier": name, "rare_labels": "leave-out", "rounds": 12}
        classify(folder / name, data, 3, **settings)
    site(NEW, seed=9).write_h5ad(folder / "new.h5ad")
    return folder


@pytest.fixture
def asked(monkeypatch):
    """Settings of the runs that are asked for, which take place in this process."""
    seen = []

    def execute(values, out, *, where):
        config = RunConfig.parse({**values, "out": str(out)}, where=where)
        seen.append(config)
        run_in_process(out, 1, **{"n-sites": 1, **values})

    monkeypatch.setattr(cli.fine_tune, "execute", execute)
    return seen


def call(*arguments):
    return CliRunner().invoke(app, ["fine-tune", *map(str, arguments)])


@pytest.mark.parametrize(("name", "strategy"), [("actinn", "fedavg"), ("logistic", "fedavg")])
def test_a_hospital_alone_trains_a_bundle_of_its_own(folder, tmp_path, asked, name, strategy):
    out = tmp_path / "out"
    done = call(folder / name / "bundle", folder / "new.h5ad", "--out", out, "--set", "rounds=8")
    assert done.exit_code == 0, done.output
    (config,) = asked
    assert (config.classifier, config.strategy_name, config.rounds) == (name, strategy, 8)
    assert (config.min_sites, config.secure_sum, config.target_f1) == (1, "off", 0.0)
    run = run_json(out)
    assert list(run["sites"]) == ["new"]
    assert run["classes"] == ["A", "B", "C", "N"]
    assert json.loads((out / "bundle/card.json").read_text())["started_from"]["run"] == "7"
    # The hospital's file is linked, not copied.
    assert (out / "data/new.h5ad").is_symlink()


def test_a_target_ends_it_and_patience_does_not(folder, tmp_path, asked):
    arguments = (folder / "actinn/bundle", folder / "new.h5ad", "--out", tmp_path / "out")
    scratch = ("--scratch", folder / "actinn")
    done = call(*arguments, "--target-f1", "0.5", *scratch)
    assert done.exit_code == 0, done.output
    (config,) = asked
    assert (config.target_f1, config.patience) == (0.5, 0)
    energy = run_json(folder / "actinn")["energy"]
    kwh = energy["sites"]["kwh"] + energy["coordinator"]["kwh"]
    assert config.scratch_kwh == pytest.approx(kwh)
    assert run_json(tmp_path / "out")["fine_tuning"]["scratch_kwh"] == pytest.approx(kwh)


@pytest.mark.parametrize(
    ("bundle", "file", "options", "said"),
    [
        ("actinn/bundle", "none.h5ad", (), "there is no file"),
        ("actinn/bundle", "actinn/run.json", (), "is no .h5ad"),
        ("actinn", "new.h5ad", (), "is not a bundle: card.json is missing"),
        ("actinn/bundle", "new.h5ad", ("--set", "rounds"), "write it as key=value"),
        ("actinn/bundle", "new.h5ad", ("--scratch", "/nowhere"), "no run whose energy is known"),
        ("actinn/bundle", "new.h5ad", ("--set", "n-top-genes=9"), "n-top-genes = 9: with start"),
    ],
)
def test_what_cannot_be_used_is_said(folder, tmp_path, asked, bundle, file, options, said):
    done = call(folder / bundle, folder / file, "--out", tmp_path / "out", *options)
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())


def test_another_sites_folder_is_not_taken(folder, tmp_path, asked):
    out = tmp_path / "out"
    site(NEW, seed=3).write_h5ad(tmp_path / "other.h5ad")
    assert call(folder / "actinn/bundle", folder / "new.h5ad", "--out", out).exit_code == 0
    done = call(folder / "actinn/bundle", tmp_path / "other.h5ad", "--out", out)
    assert done.exit_code == 1
    assert "holds the file of another run" in " ".join(done.output.split())
    assert [path.name for path in (out / "data").iterdir()] == ["new.h5ad"]
