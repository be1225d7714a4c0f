"""A real site's own page: its own cells and what it sent; the coordinator's has no cells."""

import subprocess

import h5py
import pytest

from common.errors import InputError
from report import site_page
from report.page import NAME
from report.run_record import json_lines
from report.sent import sent
from report.site_page import is_site, try_site_page, write_site_page
from tests.in_process import RUN_ID
from tests.real_sites import real_sites, run

NAMES = ["bern", "chur", "genf"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs over three sites, of which the first alone makes its page."""
    folder = tmp_path_factory.mktemp("site-report")
    sites = real_sites(folder, NAMES)
    run(folder / "earlier", list(sites.values()), run_id=RUN_ID - 1)
    sites["bern"]["report"] = True
    run(folder / "out", list(sites.values()))
    return folder


def test_a_site_has_its_page_and_the_coordinator_no_cells(folder):
    own = (folder / "bern" / NAME).read_text()
    assert own.count("<img") == 4
    assert "UMAP of 60 cells coloured by batch (p 60)" in own
    assert "60 corrected cells of this site" in own
    whole = (folder / "out" / NAME).read_text()
    assert "<img" not in whole
    assert "The cells stayed at the sites" in whole
    assert not (folder / "chur" / NAME).exists()
    # It shows cells: who may not read their file may not read it.
    modes = {(folder / "bern" / name).stat().st_mode for name in (NAME, "corrected.h5ad")}
    assert len(modes) == 1


def test_what_the_site_sent_in_this_run_is_its_outboxs(folder):
    lines = json_lines(folder / "bern" / "outbox.jsonl")
    log = sent(lines, str(RUN_ID))
    own = [line for line in lines if line["run"] == str(RUN_ID)]
    assert 0 < len(own) < len(lines)
    assert sum(phase.messages for phase in log.phases) == len(own)
    in_all = sum(field["bytes"] for line in own for field in line["fields"])
    assert sum(phase.bytes_of() for phase in log.phases) == in_all
    by_name = {phase.name: phase for phase in log.phases}
    assert by_name["moments"].fields["sum_log"].visibility == "masked"
    assert by_name["describe"].fields["genes"].visibility == "public"
    assert by_name["describe"].fields["genes"].meaning == "gene names of its file"
    assert log.other_runs == 1


def test_made_again_it_has_the_last_answer_too(folder):
    text = (folder / "bern" / NAME).read_text()
    assert "leaves after this page is made" in text
    assert is_site(folder / "bern")
    again = write_site_page(folder / "bern").read_text()
    assert "leaves after this page is made" not in again
    assert "n_shifted" in again
    assert "1 other\nrun," in again


def test_a_page_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    assert "InputError" in try_site_page(tmp_path)
    with pytest.raises(InputError, match=r"give a site's output-dir"):
        write_site_page(tmp_path)

    def slow(*_, **options):
        raise subprocess.TimeoutExpired("python", options["timeout"])

    monkeypatch.setattr(site_page.subprocess, "run", slow)
    assert "timed out after 600" in try_site_page(tmp_path)


def test_a_site_whose_pictures_fail_still_says_what_it_sent(folder, tmp_path):
    for name in ("corrected.h5ad", "outbox.jsonl"):
        (tmp_path / name).write_bytes((folder / "bern" / name).read_bytes())
    with h5py.File(tmp_path / "corrected.h5ad", "r+") as file:
        del file["uns/syncytium/vocabulary"]
    text = write_site_page(tmp_path).read_text()
    assert "There are none: InputError" in text
    assert "sum_log" in text


def test_a_page_that_fails_fails_no_run(tmp_path, monkeypatch):
    monkeypatch.setattr("client.correction.try_site_page", lambda folder: "no memory")
    sites = real_sites(tmp_path, NAMES)
    sites["bern"]["report"] = True
    assert run(tmp_path / "out", list(sites.values()))["status"] == "finished"
    told = [line.get("report") for line in json_lines(tmp_path / "bern" / "outbox.jsonl")]
    assert [text for text in told if text] == ["no memory"]
