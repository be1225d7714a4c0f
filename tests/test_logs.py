"""Both ends keep a structured log, which tells no value of the data."""

import logging

import anndata
import pytest

from common.errors import SiteFailure
from common.logs import facts, logged_to
from tests.real_sites import real_sites, run
from tests.small_sites import lines

NAMES = ["bern", "chur", "genf"]
SECRET = "PATIENT-4711"


def test_every_phase_at_both_ends(tmp_path):
    sites = real_sites(tmp_path, NAMES)
    run(tmp_path / "out", list(sites.values()))
    coordinator = lines(tmp_path / "out/log.jsonl")
    done = [line for line in coordinator if line["event"] == "phase done"]
    assert [line["phase"] for line in done][:3] == ["describe", "identities", "offers"]
    assert {"fit", "latents", "correct"} <= {line["phase"] for line in done}
    assert all(line["n_sites"] == 3 and line["seconds"] >= 0 for line in done)
    for name in NAMES:
        own = lines(tmp_path / name / "log.jsonl")
        begun = [line["phase"] for line in own if line["event"] == "phase begins"]
        ended = [line["phase"] for line in own if line["event"] == "phase done"]
        assert begun == ended
        assert begun.count("reveal") == ended.count("reveal") > 1
        assert {line["run"] for line in own} == {coordinator[0]["run"]}
        # Not how many cells were preprocessed, which the site's own terminal tells.
        events = {line["event"] for line in own}
        # Where the machine has no counters of power.
        assert events - {"estimated"} == {"phase begins", "phase done"}


def test_an_internal_fault_is_told_without_its_text(tmp_path, monkeypatch, caplog):
    sites = real_sites(tmp_path, NAMES)

    def broken(*arguments):
        raise ValueError(f"cell {SECRET}")

    monkeypatch.setattr("client.phases.moments.site_sums", broken)
    with caplog.at_level(logging.DEBUG), pytest.raises(SiteFailure):
        run(tmp_path / "out", list(sites.values()))
    (failed,) = (line for line in lines(tmp_path / "bern/log.jsonl") if line["event"] == "failed")
    assert (failed["level"], failed["phase"], failed["kind"]) == ("error", "moments", "ValueError")
    assert SECRET not in caplog.text
    assert "client/phases/moments.py" in caplog.text
    for path in (*tmp_path.glob("*/log.jsonl"), tmp_path / "out/ledger.jsonl"):
        assert SECRET not in path.read_text(), path
    # The whole of it is for the site's own eyes.
    assert SECRET in (tmp_path / "bern/outbox.jsonl").read_text()


def test_a_fault_of_the_data_is_told_in_its_public_form(tmp_path):
    sites = real_sites(tmp_path, NAMES)
    path = sites["chur"]["data-path"]
    cells = anndata.read_h5ad(path)
    cells.X[0, 0] = -3.25
    cells.write_h5ad(path)
    with pytest.raises(SiteFailure):
        run(tmp_path / "out", list(sites.values()))
    (refused,) = (line for line in lines(tmp_path / "chur/log.jsonl") if line["event"] == "refused")
    assert refused["kind"] == "CountsError"
    for path in (tmp_path / "chur/log.jsonl", tmp_path / "out/log.jsonl"):
        assert "3.25" not in path.read_text()
    (failed,) = (line for line in lines(tmp_path / "out/log.jsonl") if line["event"] == "failed")
    assert "is not counts" in failed["reason"]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    logger = logging.getLogger("syncytium.site")
    with logged_to(logger, tmp_path / "file/log.jsonl"):
        logger.warning("said", extra=facts(phase="fit"))
    assert logger.handlers == []
