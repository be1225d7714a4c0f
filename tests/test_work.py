"""What a message used, where it waited first: what passes while it waits is not metered."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from client import work
from client.carbon import Plan, sleep
from common.carbon_file import CarbonHours
from common.energy import Meter
from common.power import PowerModel

HOUR = 3600.0
POWER = PowerModel(thread_watts=36.0, ram_watts=20.0)


class Clock:
    def __init__(self):
        self.now, self.cpu = 0.0, 0.0

    def time(self):
        return self.now

    monotonic = time

    def process_time(self):
        return self.cpu

    def sleep(self, seconds):
        self.now += seconds

    def works(self, seconds):
        self.now += seconds
        self.cpu += seconds


@pytest.fixture
def clock(monkeypatch, tmp_path):
    clock = Clock()
    for module in ("client.work", "client.carbon", "common.energy"):
        monkeypatch.setattr(f"{module}.time", clock)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("common.energy._seconds_since_start", lambda: clock.now)
    return clock


def begin(monkeypatch, clock, wait, hours=None, fails=False):
    whole = iter([True, False])

    def meter():
        if fails:
            raise OSError("no counter")
        return Meter(POWER, 0.5, whole=next(whole))

    def plan(*_):
        arrived = clock.now
        clock.works(10)
        return Plan(arrived, hours, wait)

    monkeypatch.setattr(work, "plan_of", plan)
    site = SimpleNamespace(name="here", meter=meter)
    return work.begin_work(site, work.meter_of(site), "fit", "7", None, None)


@pytest.mark.parametrize("wait", [0.0, HOUR])
def test_a_wait_takes_no_energy(monkeypatch, clock, wait):
    clock.works(5)
    begun = begin(monkeypatch, clock, wait)
    clock.works(100)
    entry = begun.entry()
    energy, watts = entry["energy"], {"cpu_kwh": 36.0, "ram_kwh": 20.0}
    # The process's start, the look at the hours, and the work.
    for name, power in watts.items():
        assert energy[name] == pytest.approx(power * 115 / 3.6e6)
    assert energy["kg"] == pytest.approx(0.5 * (energy["cpu_kwh"] + energy["ram_kwh"]))
    assert (energy["kg_per_kwh"], energy["factor"]) == (0.5, "constant")
    assert entry.get("carbon") == ({"delayed_seconds": HOUR} if wait else None)


def test_emissions_before_and_after_the_wait(monkeypatch, clock):
    hours = CarbonHours(Path("a.csv"), "g_per_kwh", 0.0, (400.0, 100.0, 600.0))
    begun = begin(monkeypatch, clock, HOUR, hours)
    clock.works(7200 - 10)
    entry = begun.entry()
    carbon, watts = entry["carbon"], 36.0 + 20.0
    assert begun.began == HOUR
    # Worked nearly two hours, at 100 and then at 600; at once it had been 400 and then 100.
    assert carbon["g_per_kwh"] == pytest.approx((100 * 3600 + 600 * 3590) / 7190)
    assert carbon["g_per_kwh_at_arrival"] == pytest.approx((400 * 3600 + 100 * 3590) / 7190)
    kwh = watts * 7190 / 3.6e6
    # It cost more, and that is what is said.
    saved = kwh * (carbon["g_per_kwh_at_arrival"] - carbon["g_per_kwh"]) / 1000
    assert carbon["kg_saved"] == pytest.approx(saved)
    assert carbon["kg_saved"] < 0
    before = watts * 10 / 3.6e6 * 0.4
    assert entry["energy"]["kg"] == pytest.approx(before + kwh * carbon["g_per_kwh"] / 1000)


def test_where_hours_end_before_the_work_nothing_is_said_to_be_saved(monkeypatch, clock):
    hours = CarbonHours(Path("a.csv"), "g_per_kwh", 0.0, (400.0, 100.0))
    begun = begin(monkeypatch, clock, HOUR, hours)
    clock.works(7200)
    entry = begun.entry()
    assert entry["carbon"] == {"delayed_seconds": HOUR}
    assert entry["energy"]["factor"] == "constant"


def test_what_cannot_be_metered_is_worked_on(monkeypatch, clock, caplog):
    begun = begin(monkeypatch, clock, HOUR, fails=True)
    assert begun.entry() == {"carbon": {"delayed_seconds": HOUR}}
    assert "not metered: no counter" in caplog.text


def test_a_sleep_ends_when_it_should(clock, monkeypatch):
    sleep(clock.now, 100.0)
    assert clock.now == 100.0
    # The clock is set back by an hour: no longer than was meant.
    slept = []

    def back(seconds):
        slept.append(seconds)
        clock.now += seconds - (HOUR if len(slept) == 1 else 0)

    monkeypatch.setattr(clock, "sleep", back)
    sleep(clock.now, 100.0)
    assert sum(slept) == 100.0
    # The machine itself slept: no longer than that.
    slept.clear()
    begin = clock.now
    monkeypatch.setattr(clock, "sleep", lambda seconds: slept.append(clock.sleep_on(500)))
    clock.sleep_on = lambda seconds: setattr(clock, "now", clock.now + seconds)
    sleep(begin, 100.0)
    assert len(slept) == 1
