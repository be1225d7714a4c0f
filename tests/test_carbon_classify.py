"""Carbon-aware scheduling where a classifier is trained: by epochs, and without any."""

import time

import pytest

from report.run_record import json_lines
from tests.carbon_files import HOUR, carbon_csv
from tests.classified import classify, labelled_sites
from tests.small_sites import write_sites

SETTINGS = {"rounds": 2, "keep_answers": 0, "test_share": 0, "carbon_action": "fewer-epochs"}


@pytest.fixture
def settings(tmp_path):
    """Dirty hours now, of a grid that is mostly clean."""
    now = time.time()
    path = carbon_csv(tmp_path / "a.csv", now - now % HOUR - HOUR, [500.0] * 4 + [100.0] * 8)
    return {**SETTINGS, "carbon_file": str(path)}


def lines(out, phase):
    logs = [json_lines(path) for path in sorted(out.glob("sites/*/outbox.jsonl"))]
    return [line for log in logs for line in log if line["phase"] == phase]


def test_a_network_trains_fewer_epochs(settings, tmp_path):
    data = write_sites(tmp_path / "data", labelled_sites())
    network = {"classifier": "actinn", "strategy": "fedavg", "local_epochs": 5}
    run = classify(tmp_path / "out", data, 3, allow_fewer_epochs=True, **network, **settings)
    fits = lines(tmp_path / "out", "classifier_fit")
    assert [line["fewer_epochs"] for line in fits] == [{"trained": 2, "planned": 5}] * 6
    carbon = run["energy"]["sites"]["carbon"]
    assert (carbon["n_scheduled"], carbon["n_by_the_hour"]) == (3, 3)
    used = sum(line["energy"]["cpu_kwh"] + line["energy"]["ram_kwh"] for line in fits)
    # No more than 3 epochs by 2, of the part of a message that fits.
    assert 0 < carbon["kwh_not_used"] <= 1.5 * used


def test_a_linear_model_has_no_epochs(settings, tmp_path, caplog):
    data = write_sites(tmp_path / "data", labelled_sites())
    run = classify(tmp_path / "out", data, 3, **settings)
    assert caplog.text.count("has no effect: this training has no local epochs") == 3
    assert run["energy"]["sites"]["carbon"]["n_scheduled"] == 0
    assert len(lines(tmp_path / "out", "linear_gradient")) > 3
