"""A run's page: what of the run folder is on it, and that it never harms a run."""

import json
import re
from collections import Counter

import numpy as np
import pytest

from common.errors import InputError, SiteFailure
from report import page, run_page
from report.page import NAME
from report.run_page import write_run_page
from report.run_record import RunRecord
from report.traffic import by_phase, by_site, natural
from report.umap_layout import umap_layout
from tests.report_runs import BITING, cells, failed_run, made_up_run
from tests.small_sites import federate, leftovers, lines, run_json, three_sites, write_sites


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reported")
    data = write_sites(folder / "data", three_sites())
    federate(folder / "out", data, 3)
    return folder / "out"


@pytest.fixture
def no_umap(monkeypatch):
    """The first two components in the place of a UMAP, which takes seconds."""
    monkeypatch.setattr("report.pictures.umap_layout", lambda components, seed: components[:, :2])


def text_of(folder):
    return " ".join((folder / NAME).read_text().split())


def test_a_run_leaves_its_page_without_cells(finished):
    text = text_of(finished)
    run = run_json(finished)
    for part in (
        "Batch correction of 298 cells at 3 sites",
        "finished",
        run["run_id"],
        "site-2",
        "n-top-genes",
        "validation_loss",
        "held by one site, shifted by its own batches only",
        "`syncytium report` with this folder draws them",
    ):
        assert part in text, part
    assert "<img" not in text
    assert leftovers(finished) == []


def test_with_pictures_of_every_cell(finished, no_umap):
    write_run_page(finished, pictures=True)
    text = text_of(finished)
    images = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="([^"]+)"', text)
    assert len(images) == 4
    assert images[0] == (
        "Before: UMAP of 298 cells coloured by site (site-1 130, site-2 125, site-3 43)."
    )
    assert images[3].startswith("After: decoded: UMAP of 298 cells coloured by cell type (A 137")
    assert "All 298 cells." in text


def test_what_left_is_the_ledgers(finished):
    record, ledger = RunRecord.read(finished), lines(finished / "ledger.jsonl")
    sent = [line for line in ledger if line["from"] != "coordinator"]
    messages, n_bytes = Counter(), Counter()
    for line in sent:
        messages[line["phase"]] += 1
        n_bytes[line["phase"]] += line["bytes"]
    phases = {phase.name: phase for phase in by_phase(record)}
    assert {name: phase.messages for name, phase in phases.items()} == messages
    assert {name: phase.bytes for name, phase in phases.items()} == n_bytes
    assert phases["fit"].masked
    assert not phases["describe"].masked
    assert {field.name for field in phases["latents"].summed} >= {"mean_latent", "n_holders"}
    sites = by_site(record)
    # The nodes' first replies, which came before their names, are theirs too.
    assert [site.site for site in sites] == ["site-1", "site-2", "site-3"]
    assert sum(site.messages for site in sites) == len(sent)
    assert sum(site.masked + site.public for site in sites) == sum(n_bytes.values())
    assert sum(site.masked for site in sites) == sum(m["bytes"] for m in sent if m["masked"])
    assert phases["fit"].times == run_json(finished)["n_rounds"]
    assert phases["fit"].seconds > 0


def test_sums_without_masks_are_told(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    federate(tmp_path / "out", data, 3, secure_sum="off")
    assert "Sums were not masked" in text_of(tmp_path / "out")
    assert not any(phase.masked for phase in by_phase(RunRecord.read(tmp_path / "out")))


def test_names_cannot_become_markup(tmp_path, monkeypatch):
    folder = made_up_run(tmp_path / "run")
    monkeypatch.setattr(run_page, "corrected_files", lambda path: [])
    monkeypatch.setattr(run_page, "gather", lambda *_, **__: (cells(), 12_345))
    monkeypatch.setattr("report.pictures.umap_layout", lambda components, seed: components[:, :2])
    write_run_page(folder, pictures=True)
    text = text_of(folder)
    assert "<script>alert" not in text
    assert "T <b>" not in text
    assert text.count("<script>") == 1
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; &#34;O&#39;Neil&#34; 40" in text
    assert "A random 2,000 of the 12,345 cells" in text
    # More sites than colours, more types than names fit on a picture.
    assert "32 other sites" in text
    assert re.search(r"<text x=\"[\d.]+\" y=\"[\d.]+\">30</text>", text)
    assert "without a type" in text


def test_a_failed_run_says_why_and_how_to_go_on(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())

    def lost(reply):
        second = reply.metadata.src_node_id == 2 and reply.metadata.message_type == "train.fit"
        return None if second else reply

    with pytest.raises(SiteFailure):
        federate(tmp_path / "out", data, 3, tamper=lost, deadline=1.0)
    text = text_of(tmp_path / "out")
    for part in (
        "What went wrong",
        "phase fit failed at site-2: no answer within 1 s",
        "site-2 was lost in phase fit: start it again",
        "--resume",
        "before the first round was done",
    ):
        assert part in text, part


def test_a_failed_run_that_has_rounds(tmp_path):
    folder = failed_run(tmp_path / "run")
    write_run_page(folder, pictures=True)
    text = text_of(folder)
    assert "round 2 of 2, whose model is on disk" in text
    assert "it goes on from the last round on disk" in text
    assert "St. &lt;i&gt;Anna&lt;/i&gt;" in text


def test_a_run_that_failed_before_any_site_came(tmp_path):
    run = {"status": "failed", "error": "no sites", "error_kind": "SiteFailure"}
    (tmp_path / "run.json").write_text(json.dumps(run))
    write_run_page(tmp_path, pictures=True)
    assert "waiting for sites (0 connected)" in text_of(tmp_path)


def test_a_run_that_was_killed(finished, tmp_path):
    """Half a line at the end of a file is left out."""
    for name in ("run.json", "ledger.jsonl", "metrics.jsonl", "log.jsonl"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    for name in ("ledger.jsonl", "metrics.jsonl"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text + text.splitlines()[-1][:20])
    run = run_json(finished)
    (tmp_path / "run.json").write_text(json.dumps({**run, "status": "running"}))
    write_run_page(tmp_path, pictures=True)
    assert "The run has not ended" in text_of(tmp_path)
    with_pieces, whole = (by_phase(RunRecord.read(folder)) for folder in (tmp_path, finished))
    assert with_pieces == whole


def test_a_fault_in_the_page_fails_no_run(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(page, "render", broken)
    data = write_sites(tmp_path / "data", three_sites())
    assert federate(tmp_path / "out", data, 3)["status"] == "finished"
    assert not (tmp_path / "out" / NAME).exists()
    assert leftovers(tmp_path / "out") == []


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(InputError, match=r"run\.json is missing or damaged: give the folder"):
        write_run_page(tmp_path, pictures=True)


def test_sites_are_sorted_as_people_count():
    names = ["site-10", "site-9", "b", "a²", "site-1", "10", BITING]
    assert sorted(names, key=natural) == ["10", BITING, "a²", "b", "site-1", "site-9", "site-10"]


def test_a_layout_is_the_same_each_time_and_keeps_groups_together():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 40)
    components = rng.normal(size=(80, 6)) + 30 * group[:, None]
    first, again = umap_layout(components, 0), umap_layout(components, 0)
    np.testing.assert_array_equal(first, again)
    centres = [first[group == i].mean(axis=0) for i in (0, 1)]
    spread = max(first[group == i].std() for i in (0, 1))
    assert first.shape == (80, 2)
    assert np.linalg.norm(centres[0] - centres[1]) > spread


@pytest.mark.parametrize("n_cells", [0, 1, 15])
def test_too_few_cells_for_a_layout(n_cells):
    components = np.arange(3.0 * n_cells).reshape(n_cells, 3)
    assert umap_layout(components, 0).tolist() == components[:, :2].tolist()


def test_cells_that_are_all_alike():
    assert umap_layout(np.zeros((50, 1)), 0).tolist() == np.zeros((50, 2)).tolist()
