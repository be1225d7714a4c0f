"""One message's work at a site: when it is begun, and what it used, emitted and saved."""

import logging
import time
from dataclasses import asdict, dataclass
from typing import Any

from flwr.app import Metadata

from client.carbon import Plan, plan_of, sleep
from client.site import Site
from common.carbon_file import G_PER_KWH, SHARE, CarbonHours
from common.carbon_totals import kwh_of
from common.energy import Energy, Meter
from common.logs import facts
from strategies.records import Request

logger = logging.getLogger("syncytium.site")
FILE, CONSTANT = "file", "constant"


@dataclass(frozen=True)
class Work:
    """A message's work, from when it is begun.

    Parameters
    ----------
    plan
        What the site's file of hours means for it.
    meter
        Has begun with it; None where nothing can be metered.
    began
        Unix time.
    before
        Used before a wait.
    """

    plan: Plan
    meter: Meter | None
    began: float
    before: Energy

    def entry(self) -> dict[str, Any]:
        """What was used, emitted and saved until now, as a line of ``outbox.jsonl`` has it."""
        ended, hours = time.time(), self.plan.hours
        covered = hours is not None and hours.covers(self.began, ended)
        entry, kwh = {}, None
        if self.meter:
            by_file = _by_the_hour(self.meter, hours, self.began, ended)
            energy = self.meter.entry()["energy"]
            kwh = kwh_of(energy)
            for name, value in asdict(self.before).items():
                energy[name] += value
            energy |= {"kg_per_kwh": self.meter.factor, "factor": FILE if by_file else CONSTANT}
            entry["energy"] = energy
        carbon = {"fault": self.plan.fault} if self.plan.fault else {}
        if self.plan.wait:
            carbon["delayed_seconds"] = round(self.began - self.plan.arrived, 3)
            if covered and kwh is not None:
                carbon |= self._saved(ended, kwh)
        return {**entry, **({"carbon": carbon} if carbon else {})}

    def _saved(self, ended: float, kwh: float) -> dict[str, float]:
        """By the hours in which it worked, and those in which it would have worked at once."""
        hours, arrived = self.plan.hours, self.plan.arrived
        now = hours.mean(self.began, ended)
        at_arrival = hours.mean(arrived, arrived + ended - self.began)
        values = {hours.kind: now, f"{hours.kind}_at_arrival": at_arrival}
        if hours.kind == SHARE:
            return {**values, "kwh_moved": kwh}
        return {**values, "kg_saved": kwh * (at_arrival - now) / 1000}


def begin_work(
    site: Site, meter: Meter | None, phase: str, run: str, asked: Metadata, request: Request
) -> Work:
    """Begin a message's work; after a wait for a better hour, where the site wants that.

    What passes while it waits is not metered.
    """
    plan, before = plan_of(site, phase, run, asked, request), Energy()
    if plan.wait:
        if meter:
            _by_the_hour(meter, plan.hours, plan.arrived, time.time())
            before = meter.lap()
        logger.info("%s: %s waits %.0f s for a better hour", site.name, phase, plan.wait)
        sleep(plan.arrived, plan.wait)
        meter = meter_of(site)
    return Work(plan, meter, time.time(), before)


def _by_the_hour(meter: Meter, hours: CarbonHours | None, begin: float, end: float) -> bool:
    """Let a meter take its emissions by these hours; whether they tell of that time."""
    known = hours is not None and hours.kind == G_PER_KWH and hours.covers(begin, end)
    if known:
        meter.factor = hours.mean(begin, end) / 1000
    return known


def meter_of(site: Site) -> Meter | None:
    """Meters from now on; None where it cannot be metered."""
    try:
        return site.meter()
    except Exception as error:
        # A message is worth more than its figures, which the coordinator then knows to be missing.
        logger.warning("not metered: %s", error, extra=facts(event="not metered"))
        return None
