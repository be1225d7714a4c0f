"""Energy: units, its sum over sites, what a country emits, and what metering itself costs."""

from dataclasses import fields
from pathlib import Path

import pytest

import common.power
from common.config import RunConfig
from common.energy import ESTIMATED, MEASURED, Energy, Meter, communication_kwh
from common.errors import ConfigError
from common.node_config import NodeConfig
from common.power import PowerModel, power_model
from report import energy
from tests.small_sites import TINY, federate, lines, three_sites, write_sites

MODEL = PowerModel("here", thread_watts=36.0, ram_watts=20.0, counters=(), n_gpus=0)


def meter_after(monkeypatch, seconds, cpu_seconds, **settings):
    now = {"monotonic": 100.0, "process_time": 5.0}
    monkeypatch.setattr("common.energy.time.monotonic", lambda: now["monotonic"])
    monkeypatch.setattr("common.energy.time.process_time", lambda: now["process_time"])
    meter = Meter(settings.pop("power", MODEL), 0.5, **settings)
    now.update(monotonic=100.0 + seconds, process_time=5.0 + cpu_seconds)
    return meter


def test_units(monkeypatch):
    used = meter_after(monkeypatch, seconds=3600, cpu_seconds=1000).used()
    # 36 W for 1,000 s and 20 W for an hour.
    assert used.cpu_kwh == pytest.approx(0.01)
    assert used.ram_kwh == pytest.approx(0.02)
    assert used.kg == pytest.approx(0.5 * 0.03)
    assert used.kwh == pytest.approx(0.03)


def test_memory_of_another_process_is_not_counted_again(monkeypatch):
    assert meter_after(monkeypatch, 3600, 1000, ram=False).used().ram_kwh == 0


def test_counters_are_shared_by_busy_time_and_begin_again(monkeypatch, tmp_path):
    (tmp_path / "energy_uj").write_text("9000000")
    (tmp_path / "max_energy_range_uj").write_text("10000000")
    busy = iter([0.0, 40.0])
    monkeypatch.setattr("common.energy._busy_seconds", lambda: next(busy))
    power = PowerModel("here", 36.0, 20.0, (str(tmp_path),), 0)
    meter = meter_after(monkeypatch, 20, 10, power=power, ram=False)
    (tmp_path / "energy_uj").write_text("3000000")
    assert meter.source == MEASURED
    assert meter.used().cpu_kwh == pytest.approx(4.0 * 10 / 40 / 3.6e6)


def test_counters_that_may_not_be_read(monkeypatch, tmp_path, caplog):
    (tmp_path / "intel-rapl:0").mkdir()

    def denied(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", denied)
    assert common.power._counters(tmp_path) == ()
    assert "CPU energy is estimated" in caplog.text


@pytest.mark.parametrize("config", [RunConfig, NodeConfig])
def test_an_unknown_country(config):
    given = {"country": "DE"} | ({"data-path": "a.h5ad"} if config is NodeConfig else {})
    with pytest.raises(ConfigError, match=r"did you mean DEU \(Germany\)"):
        config.parse(given, where="test")


def test_factors():
    assert RunConfig.parse({"country": "DEU"}, where="test").emission_factor == pytest.approx(
        0.38095
    )
    own = RunConfig.parse({"country": "DEU", "grid-factor": 0.02}, where="test")
    assert own.emission_factor == 0.02


def test_communication_is_a_range():
    assert communication_kwh(10**9, year=2015) == (0.06, 0.06)
    least, most = communication_kwh(10**9, year=2025)
    assert least == pytest.approx(0.06 / 32)
    assert most == 0.06


def test_hardware_is_looked_for_once(monkeypatch, tmp_path):
    found = []
    monkeypatch.setattr(common.power.platform, "node", lambda: "here")
    monkeypatch.setattr(common.power, "find_power", lambda: found.append(1) or MODEL)
    assert [power_model(tmp_path) for _ in range(5)] == [MODEL] * 5
    assert len(found) == 1
    (tmp_path / "power.json").write_text("{}")
    assert power_model(tmp_path) == MODEL
    assert len(found) == 2


def test_the_sum_over_sites_is_that_of_their_logs(monkeypatch, tmp_path):
    found, find = [], common.power.find_power
    monkeypatch.setattr(common.power, "find_power", lambda: found.append(1) or find())
    data = write_sites(tmp_path / "data", three_sites())
    run = federate(tmp_path / "out", data, 3, evaluate=False, country="FRA", **TINY)
    sites = run["energy"]["sites"]
    # The answer itself, and the reveal after it, are after the sum.
    lasts = {"energy", "reveal"}
    logged = []
    for path in (tmp_path / "out").glob("sites/*/outbox.jsonl"):
        entries = lines(path)
        end = next(i for i, e in enumerate(entries) if e["phase"] == "energy")
        assert {e["phase"] for e in entries[end:]} <= lasts
        logged += [e["energy"] for e in entries[:end]]
    for name in (field.name for field in fields(Energy)):
        assert sites[name] == pytest.approx(sum(e[name] for e in logged), rel=1e-3, abs=1e-10)
    assert sites["ram_kwh"] == 0 < run["energy"]["coordinator"]["ram_kwh"]
    assert sites["kg"] == pytest.approx(sites["kwh"] * run["energy"]["kg_per_kwh"], rel=1e-3)
    assert {entry["source"] for entry in logged} <= {MEASURED, ESTIMATED}
    assert len(found) == 1
    assert "CO2e (" in energy.summary(run["energy"])
    assert "Energy and carbon" in (tmp_path / "out/report.html").read_text()


def test_a_site_lost_at_the_end_fails_no_run(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())

    def lose(reply):
        return None if reply.metadata.message_type.endswith(".energy") else reply

    settings = {"evaluate": False, "deadlines": "energy=1", **TINY}
    run = federate(tmp_path / "out", data, 3, tamper=lose, **settings)
    assert run["status"] == "finished"
    assert not run["energy"]["sites"]["known"]
    assert "the sites' is not known" in energy.summary(run["energy"])
