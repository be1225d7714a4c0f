"""What a run took: the coordinator's energy, the sites' as one sum, and that of what was sent."""

import json
import logging
from dataclasses import asdict, fields

from common.config import RunConfig
from common.energy import ESTIMATED, MEASURED, Energy, Meter, communication_kwh
from common.errors import SyncytiumError
from common.grid import WORLD
from common.power import power_model
from server.runs import RunFolder
from server.session import Session
from strategies.secure_sum import SecureSum

logger = logging.getLogger("syncytium.server")


def coordinator_meter(config: RunConfig, folder: RunFolder) -> Meter:
    """Meters the coordinator from now on; it counts the memory of a simulation's one machine."""
    return Meter(power_model(folder.path), config.emission_factor)


def sum_of_sites(session: Session, folder: RunFolder) -> None:
    """Note what the sites used, in all; the run is done without it."""
    try:
        summed = session.federation.run(SecureSum("energy", **session.settings()))
    except SyncytiumError as error:
        logger.warning("the sites' energy is not known: %s", error)
        folder.note(energy={"sites": {"known": False, "reason": str(error)}})
        return
    used = Energy(**{field.name: float(summed.values[field.name]) for field in fields(Energy)})
    folder.note(
        energy={
            "sites": {
                "known": True,
                **asdict(used),
                "kwh": used.kwh,
                "n_sites": summed.n_sites,
                "n_sites_estimated": summed.count("n_estimated"),
                "source": ESTIMATED if summed.count("n_estimated") else MEASURED,
            }
        }
    )


def note_energy(meter: Meter, config: RunConfig, folder: RunFolder) -> None:
    """Enter ``energy`` into ``run.json``."""
    ledger = folder.path / "ledger.jsonl"
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    n_bytes = sum(json.loads(line)["bytes"] for line in lines)
    least, most = communication_kwh(n_bytes)
    used = meter.used()
    folder.note(
        energy={
            "coordinator": {**asdict(used), "kwh": used.kwh, "source": meter.source},
            "sites": {"known": False, "reason": "not asked"},
            **folder.entry("energy", {}),
            "communication": {
                "bytes": n_bytes,
                "kwh": [least, most],
                "kg": [least * meter.factor, most * meter.factor],
                "source": ESTIMATED,
            },
            "country": config.country or WORLD,
            "kg_per_kwh": meter.factor,
        }
    )
