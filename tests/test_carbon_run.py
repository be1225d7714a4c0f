"""Carbon-aware scheduling in whole runs, over a clock that sleep and training move."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

import client.phases.fit
from common.energy import Energy
from report.run_record import json_lines
from report.site_page import write_site_page
from tests.carbon_files import HOUR, carbon_csv
from tests.real_sites import real_sites, run
from tests.small_sites import TINY, federate, three_sites, write_sites

DAY = datetime(2026, 3, 28, tzinfo=UTC).timestamp()
# Of training, and from the coordinator to a site.
SECONDS, TRAVEL = 40.0, 2.0
LOCAL = {**TINY, "rounds": 3, "strategy": "fedavg", "local_epochs": 3, "evaluate": False}
USED = Energy(cpu_kwh=0.001, ram_kwh=0.0005)
DIRTY, CLEAN = 500.0, 100.0
# Clean from the third hour on.
GRAMS = [DIRTY, DIRTY, *[CLEAN] * 22]
DELAY = {"carbon_action": "delay", "deadlines": "fit=20000"}


class Clock:
    """Time that sleep and training move."""

    def __init__(self, now):
        self.now, self.sleeps, self.epochs = now, [], []

    def time(self):
        return self.now

    perf_counter = time

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += seconds


class Meter:
    """Every message takes as much."""

    def __init__(self, power, factor, **settings):
        self.factor, self.source = factor, "estimated"

    def lap(self):
        return Energy()

    def entry(self):
        used = {name: getattr(USED, name) for name in ("cpu_kwh", "gpu_kwh", "ram_kwh")}
        return {"energy": {**used, "kg": USED.kwh * self.factor, "source": self.source}}


@pytest.fixture
def clock(monkeypatch):
    """Ten minutes past the first hour."""
    clock, fit = Clock(DAY + 600), client.phases.fit.fit
    for module in ("carbon", "work", "outbox", "phases.fit"):
        monkeypatch.setattr(f"client.{module}.time", clock)
    sent = SimpleNamespace(timestamp=lambda: clock.now - TRAVEL)
    monkeypatch.setattr("flwr.app.message.message.now", lambda: sent)
    monkeypatch.setattr("client.site.Meter", Meter)
    # Some 20 seconds.
    monkeypatch.setattr("report.site_page._pictures", lambda *_: 1 / 0)

    def takes_long(model, matrix, rows, training, **how):
        clock.now += SECONDS
        clock.epochs.append(training.local_epochs)
        return fit(model, matrix, rows, training, **how)

    monkeypatch.setattr(client.phases.fit, "fit", takes_long)
    return clock


@pytest.fixture
def data(tmp_path):
    return write_sites(tmp_path / "data", three_sites())


def logs(out):
    return [json_lines(path) for path in sorted(out.glob("sites/*/outbox.jsonl"))]


def fits_of(out, entry):
    """Of each message, site by site."""
    return [line[entry] for log in logs(out) for line in log if line["phase"] == "fit"]


def test_a_round_waits_for_a_clean_hour_and_says_what_that_saved(clock, data, tmp_path):
    path = carbon_csv(tmp_path / "grid.csv", DAY, GRAMS)
    out = tmp_path / "out"
    saved = federate(out, data, 3, carbon_file=str(path), **DELAY, **LOCAL)["energy"]["sites"]
    (line,) = [line for log in logs(out) for line in log if "carbon" in line]
    # Not the first round, of which nothing is known; the others then find a clean hour.
    waited = 2 * HOUR - (600 + 3 * SECONDS)
    assert (line["phase"], line["round"]) == ("fit", 2)
    assert line["carbon"] == {
        "delayed_seconds": pytest.approx(waited),
        "g_per_kwh": CLEAN,
        "g_per_kwh_at_arrival": DIRTY,
        "kg_saved": pytest.approx(USED.kwh * (DIRTY - CLEAN) / 1000),
    }
    assert line["seconds"] == SECONDS
    assert sum(clock.sleeps) == pytest.approx(waited)
    assert max(clock.sleeps) <= 30
    energies = fits_of(out, "energy")
    assert {energy["factor"] for energy in energies} == {"file"}
    assert [e["kg_per_kwh"] for e in energies] == [0.5, 0.1, 0.1] * 3
    assert saved["by_phase"]["fit"]["kg"] == pytest.approx(USED.kwh * (3 * 0.5 + 6 * 0.1))
    assert saved["carbon"] == pytest.approx(
        {
            "n_by_the_hour": 3,
            "n_scheduled": 1,
            "delayed_seconds": waited,
            "kg_saved": USED.kwh * 0.4,
            **dict.fromkeys(("kwh_not_used", "kg_not_used", "kwh_moved"), 0),
            **dict.fromkeys(("renewable_kwh", "renewable_kwh_at_arrival"), 0),
        }
    )
    page = (out / "report.html").read_text()
    assert "1 of 3 sites waited" in page
    assert "for a better hour, which saved 600 mg CO2e." in page
    own = write_site_page(out / "sites" / "site-1").read_text()
    assert "<td>waited 1 h 48 min</td>" in own
    assert '<td class="number">500 g/kWh</td>' in own
    assert "<td>saved 600 mg CO2e</td>" in own
    assert "Carbon-aware" not in write_site_page(out / "sites" / "site-2").read_text()


def test_an_hour_of_work_has_the_mean_of_its_hours(clock, data, tmp_path):
    # Trained from 30 s before the full hour to 10 s after it.
    clock.now = DAY + HOUR - 30
    path = carbon_csv(tmp_path / "grid.csv", DAY, [400, 200, 200])
    federate(tmp_path / "out", data, 3, carbon_file=str(path), **{**LOCAL, "rounds": 1})
    first = fits_of(tmp_path / "out", "energy")[0]
    assert first["kg_per_kwh"] == pytest.approx((30 * 0.4 + 10 * 0.2) / 40)
    assert first["kg"] == pytest.approx(USED.kwh * first["kg_per_kwh"])


@pytest.mark.parametrize("deadline", [130, 1000, 2950, 4000, 7000])
def test_no_round_is_late(clock, data, tmp_path, deadline):
    """The sites of the test work one after another, so that each one's wait is all others'."""
    rounds, last = [[]], [clock.now]

    def see(reply):
        if reply.metadata.message_type == "train.fit":
            if len(rounds[-1]) == 3:
                rounds.append([])
            rounds[-1].append((clock.now, last[0]))
        else:
            last[0] = clock.now
        return reply

    values = [DIRTY if n % 2 else CLEAN for n in range(48)]
    path = carbon_csv(tmp_path / "grid.csv", DAY - HOUR, values)
    settings = {**LOCAL, "rounds": 5, "carbon_action": "delay", "carbon_file": str(path)}
    federate(tmp_path / "out", data, 3, tamper=see, **settings, deadlines=f"fit={deadline}")
    assert len(rounds) == 5
    for replies in rounds:
        assert max(now for now, _ in replies) - replies[0][1] + TRAVEL <= deadline
    # Where there is room for it, they do wait.
    assert bool(clock.sleeps) == (deadline >= 4000)


@pytest.mark.parametrize("most", [5000, 21600])
def test_a_run_is_not_held_up_for_longer_than_the_site_allows(clock, data, tmp_path, most):
    def to_the_next_hour(reply):
        clock.now += HOUR / 3 * (reply.metadata.message_type == "train.fit")
        return reply

    values = [DIRTY if n % 2 else CLEAN for n in range(72)]
    path = carbon_csv(tmp_path / "grid.csv", DAY - HOUR, values)
    settings = {**LOCAL, **DELAY, "rounds": 6, "carbon_file": str(path), "carbon_max_delay": most}
    run = federate(tmp_path / "out", data, 3, tamper=to_the_next_hour, **settings)
    by_site = [
        sum(line.get("carbon", {}).get("delayed_seconds", 0) for line in log)
        for log in logs(tmp_path / "out")
    ]
    assert sum(by_site) == pytest.approx(run["energy"]["sites"]["carbon"]["delayed_seconds"])
    assert (max(by_site) > 5000) == (most > 5000)
    assert 0 < max(by_site) <= most


def test_shares_tell_of_hours_and_not_of_kg(clock, data, tmp_path):
    shares = [0.2, 0.2, *[0.8] * 22]
    path = carbon_csv(tmp_path / "grid.csv", DAY, shares, "renewable_share")
    out = tmp_path / "out"
    sites = federate(out, data, 3, carbon_file=str(path), country="FRA", **DELAY, **LOCAL)
    sites = sites["energy"]["sites"]
    (line,) = [line for log in logs(out) for line in log if "carbon" in line]
    assert line["carbon"] == {
        "delayed_seconds": pytest.approx(2 * HOUR - 600 - 3 * SECONDS),
        "renewable_share": pytest.approx(0.8),
        "renewable_share_at_arrival": pytest.approx(0.2),
        "kwh_moved": pytest.approx(USED.kwh),
    }
    assert {line["energy"]["factor"] for log in logs(out) for line in log if "energy" in line} == {
        "constant"
    }
    carbon = sites["carbon"]
    assert (carbon["kg_saved"], carbon["n_by_the_hour"], carbon["n_scheduled"]) == (0, 0, 1)
    assert carbon["renewable_kwh"] == pytest.approx(0.8 * USED.kwh)
    assert carbon["renewable_kwh_at_arrival"] == pytest.approx(0.2 * USED.kwh)
    page = (out / "report.html").read_text()
    assert "a mean renewable share of 80\u00a0%, in place of 20\u00a0%" in page


def test_fewer_epochs_in_dirty_hours_where_the_run_allows_them(clock, data, tmp_path):
    path = carbon_csv(tmp_path / "grid.csv", DAY, GRAMS)
    out = tmp_path / "out"
    settings = {**LOCAL, "carbon_file": str(path), "carbon_action": "fewer-epochs"}
    allowed = federate(out, data, 3, allow_fewer_epochs=True, **settings)
    assert clock.epochs == [1] * 9
    assert fits_of(out, "fewer_epochs") == [{"trained": 1, "planned": 3}] * 9
    carbon = allowed["energy"]["sites"]["carbon"]
    # Two epochs more would have taken twice as much again.
    assert carbon["kwh_not_used"] == pytest.approx(9 * 2 * USED.kwh)
    assert carbon["kg_not_used"] == pytest.approx(9 * 2 * USED.kwh * 0.5)
    assert (carbon["n_scheduled"], carbon["kg_saved"]) == (3, 0)
    page = (out / "report.html").read_text()
    assert "left out 27 Wh and 13.5 g CO2e, estimated" in page
    clock.now, clock.epochs = DAY + 3 * HOUR, []
    federate(tmp_path / "clean", data, 3, allow_fewer_epochs=True, **settings)
    assert clock.epochs == [3] * 9


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "the run's allow-fewer-epochs is false"),
        ({"allow_fewer_epochs": True, "local_epochs": 1}, "local-epochs = 1 cannot be fewer"),
        (
            {"strategy": "fedsgd", "local_epochs": 0},
            "with strategy = fedsgd a round is one step of all sites",
        ),
    ],
)
def test_fewer_epochs_without_effect_are_told_once(clock, data, tmp_path, caplog, settings, why):
    path = carbon_csv(tmp_path / "grid.csv", DAY, GRAMS)
    settings = {**LOCAL, "carbon_file": str(path), "carbon_action": "fewer-epochs", **settings}
    run = federate(tmp_path / "out", data, 3, **settings)
    assert set(clock.epochs) <= {settings["local_epochs"]}
    assert caplog.text.count(f"has no effect: {why}") == caplog.text.count("has no effect") == 3
    assert run["energy"]["sites"]["carbon"]["kwh_not_used"] == 0


def test_a_file_that_cannot_be_used_costs_no_figures(clock, tmp_path, caplog):
    """Of three real sites: a file with a gap, one of another year, and a good one."""
    sites = real_sites(tmp_path, ["ghent", "bern", "oslo"])
    carbon_csv(tmp_path / "gap.csv", DAY, GRAMS)
    rows = (tmp_path / "gap.csv").read_text().splitlines()
    (tmp_path / "gap.csv").write_text("\n".join(rows[:5] + rows[7:]))
    carbon_csv(tmp_path / "old.csv", DAY - 365 * 24 * HOUR, GRAMS)
    carbon_csv(tmp_path / "good.csv", DAY, GRAMS)
    for name, file in (("ghent", "gap.csv"), ("bern", "old.csv"), ("oslo", "good.csv")):
        sites[name] |= {"carbon-file": str(tmp_path / file), "carbon-action": "delay"}
        sites[name] |= {"grid-factor": 0.25, "carbon-max-delay": 0}
    ran = run(tmp_path / "out", list(sites.values()), rounds=2, strategy="fedavg")
    assert ran["status"] == "finished"
    told = {}
    for name in sites:
        log = json_lines(tmp_path / name / "outbox.jsonl")
        told[name] = [line["carbon"]["fault"] for line in log if "carbon" in line]
        factors = {(line["energy"]["kg_per_kwh"], line["energy"]["factor"]) for line in log}
        assert factors == {(0.5, "file") if name == "oslo" else (0.25, "constant")}
    assert told["oslo"] == []
    assert "2 hours are missing: 2026-03-28 04:00 UTC, 2026-03-28 05:00 UTC" in told["ghent"][0]
    assert "so that it is of another year" in told["bern"][0]
    assert [len(faults) for faults in told.values()] == [1, 1, 0]
    assert caplog.text.count("The run goes on without it") == 2
    for name in ("ghent", "bern"):
        events = [e.get("event") for e in json_lines(tmp_path / name / "log.jsonl")]
        assert events.count("no carbon hours") == 1
    assert ran["energy"]["sites"]["carbon"]["n_by_the_hour"] == 1
    own = write_site_page(tmp_path / "ghent").read_text()
    assert "<strong>carbon-file was not used,</strong>" in own
    assert "2 hours are missing" in own
    # The site's own word stays there.
    assert "gap.csv" not in (tmp_path / "out" / "run.json").read_text()


def test_a_file_that_ends_within_the_run(clock, data, tmp_path, caplog):
    clock.now = DAY + HOUR - SECONDS - 5
    path = carbon_csv(tmp_path / "grid.csv", DAY, [DIRTY])
    settings = {"carbon_file": str(path), "grid_factor": 0.25, **LOCAL}
    assert federate(tmp_path / "out", data, 3, **settings)["status"] == "finished"
    energies = fits_of(tmp_path / "out", "energy")
    factors = [(energy["kg_per_kwh"], energy["factor"]) for energy in energies]
    assert factors == [(0.5, "file"), *[(0.25, "constant")] * 8]
    assert caplog.text.count("give a file with the hours of the run") == 3
