"""energy: what the run took at the site so far, from its own log."""

import logging
from dataclasses import fields

import numpy as np

from client.outbox import Outbox
from client.site import Site
from common.carbon_totals import carbon_totals
from common.energy import ESTIMATED, GPU_UNMETERED, Energy
from common.logs import facts
from common.power import power_model
from common.wire import PHASES
from report.run_record import json_lines
from strategies.records import Request

logger = logging.getLogger("syncytium.site")


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Send four numbers of each phase for a sum over sites, and whether they are estimated."""
    # Of this run alone: others had other sites, and a sum with theirs would tell this one's.
    lines = [line for line in json_lines(site.outbox_log) if line.get("run") == outbox.run]
    metered = [line for line in lines if "energy" in line and line.get("phase") in PHASES]
    order = {phase: number for number, phase in enumerate(PHASES)}
    for field in fields(Energy):
        of_phase = np.zeros(len(PHASES))
        for line in metered:
            of_phase[order[line["phase"]]] += float(line["energy"].get(field.name, 0.0))
        outbox.masked(field.name, of_phase)
    estimated = any(line["energy"].get("source") == ESTIMATED for line in metered)
    outbox.masked("n_estimated", int(estimated))
    outbox.masked("n_gpu_unmetered", int(any(GPU_UNMETERED in line["energy"] for line in metered)))
    # By the hours of a file they may be known all the same.
    unknown = any(not line["energy"].get("kg_per_kwh", 1.0) for line in metered)
    outbox.masked("n_without_emissions", int(unknown))
    for name, value in carbon_totals(lines).items():
        outbox.masked(name, value)
    outbox.masked("n_unmetered", sum("energy" not in line for line in lines))
    if unknown:
        why = site.node.why_no_emissions
        outbox.local(why_no_emissions=why)
        logger.warning("emissions: %s", why, extra=facts(event="no emissions", reason=why))
    if why := power_model(site.output_dir).why_estimated:
        outbox.local(why_estimated=why)
        logger.info("CPU energy is estimated: %s", why, extra=facts(event="estimated", reason=why))
