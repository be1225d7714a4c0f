"""What a run took: the coordinator by phase, the sites as one sum, and what was sent."""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from common.carbon_totals import CARBON
from common.config import RunConfig
from common.energy import (
    ESTIMATED,
    MEASURED,
    Energy,
    Meter,
    communication_kwh,
    first_of_its_process,
)
from common.errors import SyncytiumError
from common.grid import WORLD
from common.power import power_model
from common.wire import PHASES
from report.run_record import json_lines
from server.runs import RunFolder
from server.session import Session
from strategies.secure_sum import SecureSum

logger = logging.getLogger("syncytium.server")
# The run's end must not wait long for figures about it.
SECONDS = 60.0
BETWEEN = "between phases"
# So often at most run.json is written for it: what a killed coordinator does not know.
NOTED_EVERY = 10.0
UNKNOWN = {"known": False, "reason": "the sites were not asked"}


class CoordinatorEnergy:
    """Meters the coordinator; in a simulation, the memory of its one machine too.

    Parameters
    ----------
    config, folder
        The run's; what an earlier part of a resumed run took is in the folder.
    """

    def __init__(self, config: RunConfig, folder: RunFolder):
        self.config, self.folder = config, folder
        power = power_model(folder.path)
        self.why_estimated = power.why_estimated
        self.meter = Meter(power, config.emission_factor, whole=first_of_its_process())
        earlier = folder.entry("energy", {}).get("coordinator", {})
        self.by_phase = {
            phase: Energy(**{field.name: used[field.name] for field in fields(Energy)})
            for phase, used in earlier.get("by_phase", {}).items()
        }
        self.source = earlier.get("source", MEASURED)
        self._noted = self._lapped = time.monotonic()
        self._seconds: Counter[str] = Counter()

    def lap(self, phase: str = BETWEEN) -> None:
        """What was used since the last one was for this phase. It never fails a run."""
        self._add({phase: 1.0}, memory=False)
        now = time.monotonic()
        self._seconds[phase] += now - self._lapped
        self._lapped = now
        if now - self._noted > NOTED_EVERY:
            try:
                self.note()
            except OSError as error:
                logger.warning("the coordinator's energy is not noted: %s", error)

    def _add(self, shares: Mapping[str, float], *, memory: bool) -> None:
        try:
            used = self.meter.lap(memory=memory)
        except Exception as error:
            logger.warning("the coordinator is not metered: %s: %s", type(error).__name__, error)
            return
        if self.meter.source == ESTIMATED:
            self.source = ESTIMATED
        for phase, share in shares.items():
            self.by_phase[phase] = self.by_phase.get(phase, Energy()) + used.times(share)

    def note(self, *, ended: bool = False) -> None:
        """Enter ``energy`` into ``run.json``; what was sent is added up when the run has ended."""
        # The memory's, which is counted among all processes of the machine, is by phases' seconds.
        total = sum(self._seconds.values())
        self._add({phase: n / total for phase, n in self._seconds.items() if total}, memory=True)
        self._seconds.clear()
        self._noted = time.monotonic()
        used = sum(self.by_phase.values(), Energy())
        sent = {"communication": _communication(self.folder, self.meter.factor)} if ended else {}
        self.folder.note(
            energy={
                "sites": UNKNOWN,
                **self.folder.entry("energy", {}),
                "coordinator": {
                    **_figures(used),
                    "source": self.source,
                    "why_estimated": self.why_estimated,
                    "by_phase": {phase: _figures(part) for phase, part in self.by_phase.items()},
                },
                **sent,
                "country": self.config.country or WORLD,
                "kg_per_kwh": self.meter.factor,
            }
        )


def _figures(used: Energy) -> dict[str, float]:
    return {**asdict(used), "kwh": used.kwh}


def _communication(folder: RunFolder, factor: float) -> dict[str, Any]:
    n_bytes = sum(line.get("bytes", 0) for line in json_lines(folder.path / "ledger.jsonl"))
    least, most = communication_kwh(n_bytes)
    kg = [least * factor, most * factor]
    return {"bytes": n_bytes, "kwh": [least, most], "kg": kg, "source": ESTIMATED}


def sum_of_sites(session: Session, folder: RunFolder, *, last: bool = True) -> None:
    """Note what the sites used so far, in all.

    As the ``last`` phase of a run, which is done without it, or as one like any other.

    Raises
    ------
    SyncytiumError
        It is not the last, and failed.
    """
    energy = folder.entry("energy", {})
    try:
        if last:
            asked = SecureSum("energy", **session.settings())
            summed = session.federation.ask_in_passing(asked, SECONDS)
        else:
            summed = session.sum("energy")
    except SyncytiumError as error:
        if not last:
            raise
        logger.warning("the sites' energy is not known: %s", error)
        folder.note(energy={**energy, "sites": {"known": False, "reason": str(error)}})
        return
    values = {field.name: summed.values[field.name] for field in fields(Energy)}
    by_phase = {
        phase: Energy(**{name: float(value[number]) for name, value in values.items()})
        for number, phase in enumerate(PHASES)
        if any(np.abs(value[number]) > 0 for value in values.values())
    }
    sites = {
        "known": True,
        "since_resumed": bool(folder.entry("resumed", [])),
        **_figures(sum(by_phase.values(), Energy())),
        "n_sites": summed.n_sites,
        "n_sites_estimated": summed.count("n_estimated"),
        "n_gpu_unmetered": summed.count("n_gpu_unmetered"),
        "n_without_emissions": summed.count("n_without_emissions"),
        "n_unmetered": summed.count("n_unmetered"),
        "carbon": {
            name: summed.count(name) if field.integer else float(summed.values[name])
            for name, field in CARBON.items()
        },
        "source": ESTIMATED if summed.count("n_estimated") else MEASURED,
        "by_phase": {phase: _figures(part) for phase, part in by_phase.items()},
    }
    folder.note(energy={**energy, "sites": sites})
