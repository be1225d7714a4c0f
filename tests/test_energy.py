"""Energy: units, its sum over sites, what a country emits, and what metering itself costs."""

import json
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import common.power
from client.node.preflight import check_site
from client.site import Site
from common import gpu_counter
from common.config import RunConfig
from common.counted import Counted, machine_folder
from common.energy import ESTIMATED, MEASURED, Energy, Meter, communication_kwh
from common.errors import ConfigError, SiteFailure
from common.gpu_counter import gpu_name
from common.node_config import NodeConfig
from common.power import PowerModel, power_model
from report import energy
from tests.in_process import Stopped, run_in_process, stopping
from tests.small_sites import TINY, federate, three_sites, write_sites

MODEL = PowerModel(thread_watts=36.0, ram_watts=20.0)


@pytest.fixture(autouse=True)
def own_machine(monkeypatch, tmp_path):
    """What is kept for the machine is this test's alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    power_model.cache_clear()
    gpu_counter._found.cache_clear()
    yield
    power_model.cache_clear()
    gpu_counter._found.cache_clear()


@pytest.fixture
def clock(monkeypatch):
    now = {"time": 1000.0, "process_time": 5.0}
    for name in now:
        monkeypatch.setattr(f"common.energy.time.{name}", lambda name=name: now[name])

    def pass_on(seconds, cpu_seconds):
        now["time"] += seconds
        now["process_time"] += cpu_seconds

    return pass_on


def test_units(clock):
    meter = Meter(MODEL, 0.5)
    clock(3600, 1000)
    used = meter.lap()
    # 36 W for 1,000 s and 20 W for an hour.
    assert used.cpu_kwh == pytest.approx(0.01)
    assert used.ram_kwh == pytest.approx(0.02)
    assert used.kg == pytest.approx(0.5 * 0.03)
    assert used.kwh == pytest.approx(0.03)


def test_a_lap_is_since_the_one_before(clock):
    meter = Meter(MODEL, 0.5)
    clock(3600, 1000)
    meter.lap()
    clock(1800, 500)
    assert meter.lap().kwh == pytest.approx(0.015)


def test_memory_that_another_process_counts_is_not_counted_again(clock):
    first, second = Meter(MODEL, 0.5), Meter(MODEL, 0.5)
    clock(3600, 1000)
    assert second.lap().ram_kwh == pytest.approx(0.02)
    clock(3600, 1000)
    assert first.lap().ram_kwh == pytest.approx(0.02)
    assert Meter(MODEL, 0.5, ram=False).lap().ram_kwh == 0


def test_what_many_processes_count_together_is_the_union(tmp_path):
    rng = np.random.default_rng(0)
    begins = rng.integers(0, 900, 60)
    intervals = sorted(
        zip(begins, begins + rng.integers(1, 100, 60), strict=True), key=lambda pair: pair[1]
    )
    counted = sum(
        Counted(tmp_path / "counted.json").take("memory", float(a), float(b)) for a, b in intervals
    )
    covered = np.zeros(1000, bool)
    for begin, end in intervals:
        covered[begin:end] = True
    assert counted == covered.sum()


def test_a_damaged_file_of_what_was_counted_is_begun_anew(tmp_path):
    path = tmp_path / "counted.json"
    path.write_text('{"memory": [[0, 1')
    assert Counted(path).take("memory", 0, 10) == 10
    assert Counted(path).take("memory", 5, 12) == 2


def test_what_cannot_be_shared_is_counted_whole(tmp_path):
    (tmp_path / "file").write_text("")
    assert Counted(tmp_path / "file/counted.json").take("memory", 0, 10) == 10


def test_a_counter_that_began_again_is_counted(tmp_path):
    counted = Counted(tmp_path / "counted.json")
    counted.take("gpu", 500, 100_000)
    assert counted.take("gpu", 600, 5000) == 4400
    assert counted.take("gpu", 5000, 9000) == 4000


def test_processes_that_enter_out_of_order_count_once(tmp_path):
    counted = Counted(tmp_path / "counted.json")
    assert counted.take("gpu", 0, 105) == 105
    assert counted.take("gpu", 50, 100) == 0


@pytest.fixture
def rapl(monkeypatch, tmp_path):
    busy = iter([0.0, 40.0, 50.0])
    monkeypatch.setattr("common.energy._busy_seconds", lambda: next(busy))
    (tmp_path / "energy_uj").write_text("261000000000")
    (tmp_path / "max_energy_range_uj").write_text("262144000000")
    return PowerModel(36.0, 20.0, (str(tmp_path),)), tmp_path / "energy_uj"


def test_counters_are_shared_by_busy_time_and_begin_again(clock, rapl):
    power, counter = rapl
    meter = Meter(power, 0.5, ram=False)
    counter.write_text("3000000000")
    clock(20, 10)
    assert meter.lap().cpu_kwh == pytest.approx(4144 * 10 / 40 / 3.6e6)
    assert meter.source == MEASURED


def test_a_counter_that_may_have_begun_again_twice_makes_an_estimate(clock, rapl):
    power, counter = rapl
    meter = Meter(power, 0.5, ram=False)
    counter.write_text("262000000000")
    clock(3600 * 24, 10)
    assert meter.lap().cpu_kwh == pytest.approx(36 * 10 / 3.6e6)
    assert meter.source == ESTIMATED


def test_a_counter_that_is_lost_makes_an_estimate(clock, rapl, caplog):
    power, counter = rapl
    meter = Meter(power, 0.5, ram=False)
    counter.unlink()
    clock(20, 10)
    assert meter.lap().cpu_kwh == pytest.approx(36 * 10 / 3.6e6)
    assert meter.source == ESTIMATED
    assert "cannot be read" in caplog.text


def test_a_process_of_one_message_is_counted_from_its_start(clock, rapl, monkeypatch):
    monkeypatch.setattr("common.energy._seconds_since_start", lambda: 7.0)
    power, counter = rapl
    meter = Meter(power, 0.5, whole=True)
    counter.write_text("3000000000")
    clock(20, 10)
    used = meter.lap()
    # 5 s of its CPU before, at the power measured after.
    assert used.cpu_kwh == pytest.approx(4144 * 15 / 40 / 3.6e6)
    assert used.ram_kwh == pytest.approx(20 * 27 / 3.6e6)
    clock(20, 10)
    assert meter.lap().ram_kwh == pytest.approx(20 * 20 / 3.6e6)


class FakeNVML:
    """Two GPUs, whose counters the test sets, in mJ."""

    def __init__(self, counters):
        self.counters = counters

    def nvmlInit(self):
        pass

    def nvmlDeviceGetHandleByIndex(self, number):
        return list(self.counters)[number]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid

    def nvmlDeviceGetUUID(self, handle):
        return handle

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        return self.counters[handle]


@pytest.mark.parametrize(
    ("device", "visible", "gpu"),
    [
        ("auto", None, "GPU-a"),
        ("cuda:1", None, "GPU-b"),
        ("cuda", "1", "GPU-b"),
        ("cuda:1", "1,0", "GPU-a"),
        ("cuda", "GPU-b", "GPU-b"),
        ("cuda:2", None, ""),
        ("cuda", "", ""),
        ("cpu", None, ""),
    ],
)
def test_the_gpu_that_is_used(monkeypatch, device, visible, gpu):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNVML({"GPU-a": 0, "GPU-b": 0}))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_name(device) == gpu


def test_two_sites_on_one_gpu_count_it_once(monkeypatch, clock):
    nvml = FakeNVML({"GPU-a": 0})
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    first, second = (Meter(MODEL, 0.5, ram=False, device="cuda") for _ in range(2))
    nvml.counters["GPU-a"] = 36_000_000
    assert first.lap().gpu_kwh == pytest.approx(0.01)
    nvml.counters["GPU-a"] = 54_000_000
    assert second.lap().gpu_kwh == pytest.approx(0.005)


def test_a_gpu_without_a_counter_is_told(monkeypatch, clock):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNVML({}))
    monkeypatch.setattr("common.energy._cuda_is_used", lambda: True)
    meter = Meter(MODEL, 0.5, ram=False, device="cuda")
    assert meter.entry()["energy"]["gpu_unmetered"]
    assert "gpu_unmetered" not in Meter(MODEL, 0.5, ram=False, device="cpu").entry()["energy"]


def test_only_packages_are_counted(monkeypatch, tmp_path):
    for number, name in enumerate(["package-0", "psys", "package-1"]):
        zone = tmp_path / f"intel-rapl:{number}"
        zone.mkdir()
        (zone / "name").write_text(f"{name}\n")
        (zone / "energy_uj").write_text("1")
    counters, why = common.power._counters(tmp_path)
    assert [Path(counter).name for counter in counters] == ["intel-rapl:0", "intel-rapl:2"]
    assert why == ""


def test_a_job_of_slurm_has_its_machines_memory(monkeypatch):
    plain = common.power.find_watts()
    monkeypatch.setattr("codecarbon.external.ram.SLURM_JOB_ID", "7")
    assert common.power.find_watts() == plain
    assert plain[1] > 0


def test_counters_that_may_not_be_read(monkeypatch, tmp_path):
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0/name").write_text("package-0")
    read = Path.read_text

    def denied(path, *args, **kwargs):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", denied)
    monkeypatch.setattr(common.power, "RAPL", tmp_path)
    model = power_model(tmp_path)
    assert model.counters == ()
    assert "cannot be read (Permission denied): give the user" in model.why_estimated


def test_a_country_by_its_name():
    with pytest.raises(ConfigError, match=r"did you mean DEU \(Germany\)\? Or set grid-factor"):
        RunConfig.parse({"country": "germany"}, where="test")


def test_a_user_without_a_home(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")

    def none(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    monkeypatch.setattr("common.counted.tempfile.gettempdir", lambda: str(tmp_path))
    assert machine_folder().is_relative_to(tmp_path)


def test_an_unknown_country_in_a_run():
    with pytest.raises(ConfigError, match=r"did you mean DEU \(Germany\)"):
        RunConfig.parse({"country": "DE"}, where="test")


def test_a_site_of_an_unknown_country_takes_part_without_emissions(monkeypatch, tmp_path, capsys):
    data = write_sites(tmp_path / "data", three_sites())
    given = {"data-path": str(data / "site-1.h5ad"), "output-dir": str(tmp_path / "out-a")}
    check_site({**given, "country": "DE"})
    assert "did you mean DEU (Germany)" in capsys.readouterr().err
    node = NodeConfig.parse({**given, "country": "DE"}, where="test")
    assert (node.emission_factor, NodeConfig(**given).why_no_emissions) == (0.0, "")
    assert NodeConfig(**given, **{"country": "DE", "grid-factor": 0.3}).emission_factor == 0.3
    parse = NodeConfig.parse.__func__

    def one_abroad(cls, values, *, where):
        abroad = {"country": "DE"} if values["data-path"].endswith("site-2.h5ad") else {}
        return parse(cls, {**values, **abroad}, where=where)

    monkeypatch.setattr(NodeConfig, "parse", classmethod(one_abroad))
    run = federate(tmp_path / "out", data, 3, evaluate=False, country="FRA", **TINY)
    assert run["status"] == "finished"
    sites = run["energy"]["sites"]
    assert sites["n_without_emissions"] == 1
    parts = ("cpu_kwh", "gpu_kwh", "ram_kwh")
    entries = [used for _, used in logged(tmp_path / "out") if used["kg"]]
    known = sum(used[part] for used in entries for part in parts)
    assert sites["kg"] == pytest.approx(known * run["energy"]["kg_per_kwh"], rel=1e-3)
    assert known < sites["kwh"]
    assert any(
        "1 of 3 sites name a country of unknown emissions" in note
        for note in energy.notes(run["energy"])
    )
    log = (tmp_path / "out/sites/site-2/outbox.jsonl").read_text()
    assert "why_no_emissions" in log
    assert "why_no_emissions" not in (tmp_path / "out/sites/site-1/outbox.jsonl").read_text()


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


def another_process(folder):
    power_model.cache_clear()
    return power_model(folder)


def test_hardware_is_looked_for_once(monkeypatch, tmp_path):
    found = []
    monkeypatch.setattr(common.power, "find_watts", lambda: found.append(1) or (36.0, 20.0))
    assert len({another_process(tmp_path) for _ in range(5)}) == 1
    assert len(found) == 1
    (kept,) = tmp_path.glob("cache/syncytium/*/power.json")
    kept.write_text("{}")
    assert another_process(tmp_path).thread_watts == 36
    assert len(found) == 2
    monkeypatch.setattr(common.power, "cpu_name", lambda: "another CPU")
    another_process(tmp_path)
    assert len(found) == 3


def test_a_home_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("")
    found = []
    monkeypatch.setattr(common.power, "find_watts", lambda: found.append(1) or (36.0, 20.0))
    assert [another_process(tmp_path / "out").ram_watts for _ in range(2)] == [20, 20]
    assert len(found) == 1


def logged(out):
    """The energies of the sites' logs until they were summed, with their phases."""
    found = []
    for path in out.glob("sites/*/outbox.jsonl"):
        entries = [line for line in path.read_text().splitlines() if line.endswith("}")]
        entries = [json.loads(line) for line in entries]
        end = next(i for i, entry in enumerate(entries) if entry["phase"] == "energy")
        # The answer itself, and the reveal after it, are after the sum.
        assert {entry["phase"] for entry in entries[end:]} <= {"energy", "reveal"}
        found += [(entry["phase"], entry["energy"]) for entry in entries[:end]]
    return found


def test_the_sum_over_sites_is_that_of_their_logs(monkeypatch, tmp_path):
    found, find = [], common.power.find_watts
    monkeypatch.setattr(common.power, "find_watts", lambda: found.append(1) or find())
    data = write_sites(tmp_path / "data", three_sites())
    run = federate(tmp_path / "out", data, 3, evaluate=False, country="FRA", **TINY)
    sites, entries = run["energy"]["sites"], logged(tmp_path / "out")
    for name in (field.name for field in fields(Energy)):
        total = sum(used[name] for _, used in entries)
        assert sites[name] == pytest.approx(total, rel=1e-3, abs=1e-10)
        for phase, used in sites["by_phase"].items():
            of_phase = sum(entry[name] for at, entry in entries if at == phase)
            assert used[name] == pytest.approx(of_phase, rel=1e-2, abs=1e-11)
    assert {phase for phase, _ in entries} == set(sites["by_phase"])
    assert sites["ram_kwh"] == 0 < run["energy"]["coordinator"]["ram_kwh"]
    assert sites["kg"] == pytest.approx(sites["kwh"] * run["energy"]["kg_per_kwh"], rel=1e-3)
    assert sites["n_unmetered"] == 0
    own = run["energy"]["coordinator"]
    assert {"fit", "correct", "moments"} <= set(own["by_phase"])
    assert own["kwh"] == pytest.approx(sum(part["kwh"] for part in own["by_phase"].values()))
    assert len(found) == 1
    assert "CO2e (" in energy.summary(run["energy"])
    page = (tmp_path / "out/report.html").read_text()
    assert "Energy and carbon" in page
    assert "By phase" in page


def test_half_a_line_of_a_log_and_a_message_that_was_not_metered(monkeypatch, tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    half = []

    def damage(reply):
        phase = reply.metadata.message_type.partition(".")[2]
        if phase == "correct" and not half:
            (log, *_) = sorted((tmp_path / "out").glob("sites/*/outbox.jsonl"))
            log.write_text(log.read_text() + '{"run": "7", "phase": "corr\n')
            half.append(log)
        return reply

    meter, calls = Site.meter, []

    def broken(site):
        calls.append(site.name)
        if len(calls) == 5:
            raise OSError("no such counter")
        return meter(site)

    monkeypatch.setattr(Site, "meter", broken)
    run = federate(tmp_path / "out", data, 3, tamper=damage, evaluate=False, **TINY)
    assert half
    assert run["status"] == "finished"
    assert run["energy"]["sites"]["known"]
    assert run["energy"]["sites"]["n_unmetered"] == 1
    assert any(
        "1 replies of sites were not metered" in note for note in energy.notes(run["energy"])
    )


@pytest.mark.parametrize("policy", ["stop", "wait", "continue"])
def test_a_site_lost_at_the_end_fails_no_run(tmp_path, policy):
    data = write_sites(tmp_path / "data", three_sites())

    def lose(reply):
        return None if reply.metadata.message_type.endswith(".energy") else reply

    settings = {"evaluate": False, "deadlines": "energy=1", "on_site_error": policy, **TINY}
    run = federate(tmp_path / "out", data, 3, tamper=lose, **settings)
    assert run["status"] == "finished"
    assert not run["energy"]["sites"]["known"]
    assert "the sites' is not known" in energy.summary(run["energy"])
    assert not run.get("lost_sites")


def test_a_run_that_fails_says_what_it_took(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())

    def lose(reply):
        return None if reply.metadata.message_type.endswith(".correct") else reply

    settings = {"evaluate": False, "deadlines": "correct=1", **TINY}
    with pytest.raises(SiteFailure):
        federate(tmp_path / "out", data, 3, tamper=lose, **settings)
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert run["status"] == "failed"
    assert run["energy"]["coordinator"]["by_phase"]["fit"]["kwh"] > 0
    assert "Energy and carbon" in (tmp_path / "out/report.html").read_text()


def test_a_resumed_run_tells_of_which_part_its_figures_are(tmp_path):
    data, out = write_sites(tmp_path / "data", three_sites()), tmp_path / "out"
    settings = {"data": str(data), "n-sites": 3, "evaluate": False, "seed": 5, **TINY}
    with pytest.raises(Stopped):
        run_in_process(out, 3, tamper=stopping("fit", times=4), **settings)
    first = json.loads((out / "run.json").read_text())["energy"]["coordinator"]
    # As a coordinator that was killed in the middle leaves it.
    with (out / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"from": "coordi')
    run_in_process(out, 3, run_id=8, resume=True, **settings)
    run = json.loads((out / "run.json").read_text())
    assert run["energy"]["coordinator"]["kwh"] > first["kwh"] > 0
    assert run["status"] == "finished"
    # Sums with an earlier run's other sites would tell the energy of one.
    assert "moments" not in run["energy"]["sites"]["by_phase"]
    assert any("since the run was resumed" in note for note in energy.notes(run["energy"]))


def test_a_disk_that_is_full_costs_the_figure_alone(monkeypatch, tmp_path):
    data = write_sites(tmp_path / "data", three_sites())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("server.energy.NOTED_EVERY", 0.0)
    monkeypatch.setattr("server.energy.CoordinatorEnergy.note", full)
    run = federate(tmp_path / "out", data, 3, evaluate=False, **TINY)
    assert run["status"] == "finished"
