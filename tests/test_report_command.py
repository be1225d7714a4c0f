"""`syncytium report`, and the page at the end of `syncytium run` and `demo`."""

import json

import pytest

from cli.console import console
from cli.report import report_of_run
from report.page import NAME
from tests.report_runs import made_up_run
from tests.test_cli import call, refused


@pytest.fixture
def real(tmp_path):
    """A run over real sites: their cells are not in its folder."""
    folder = made_up_run(tmp_path / "run", n_sites=3)
    (folder / "sites").rmdir()
    return folder


def test_the_command_writes_the_page(real):
    done = call("report", real)
    assert done.exit_code == 0, done.output
    assert f"report: {real / NAME}" in done.stdout
    assert "The cells stayed at the sites" in (real / NAME).read_text()


def test_a_folder_without_a_run_is_refused(tmp_path):
    said = refused("report", tmp_path)
    assert "run.json is missing or damaged: give the folder of a run" in said
    assert "or a site's output-dir" in said
    assert list(tmp_path.iterdir()) == []


def test_at_the_end_of_a_run_that_failed(real, capsys):
    run = json.loads((real / "run.json").read_text())
    (real / "run.json").write_text(json.dumps({**run, "status": "running"}))
    report_of_run(real, console(), draw=False)
    assert f"report: {real / NAME}" in capsys.readouterr().out
    assert "The run has not ended" in (real / NAME).read_text()


def test_a_run_whose_folder_is_elsewhere_has_no_page_here(tmp_path, capsys):
    report_of_run(tmp_path, console(), draw=False)
    assert capsys.readouterr().out == ""


def test_a_page_that_cannot_be_made_is_said(real, capsys, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("report.page.write", full)
    report_of_run(real, console(), draw=True)
    assert "there is no report: OSError: No space left on device" in capsys.readouterr().out
