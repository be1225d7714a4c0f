"""What carbon-aware scheduling saved at a site in a run, from the lines of its own log."""

from collections.abc import Iterable, Mapping
from typing import Any

from common.carbon_file import SHARE
from common.wire_fields import Masked

MAX_KWH, MAX_SECONDS = 2.0**20, 2.0**32

# Fields of the phase `energy`: a part of the table in common/wire.py.
CARBON = {
    "n_by_the_hour": Masked("1 if its emissions are by the hours of a file", "", integer=True),
    "n_scheduled": Masked("1 if it delayed a round or trained fewer epochs", "", integer=True),
    "delayed_seconds": Masked("seconds of its delays", "", MAX_SECONDS),
    "kg_saved": Masked("kg CO2e that its delays saved; below 0, they cost", "", MAX_KWH),
    "kwh_not_used": Masked("estimated kWh of epochs that it did not train", "", MAX_KWH),
    "kg_not_used": Masked("estimated kg CO2e of these", "", MAX_KWH),
    "kwh_moved": Masked("kWh of delayed rounds whose renewable share it knows", "", MAX_KWH),
    "renewable_kwh": Masked("of these x renewable share when it worked", "", MAX_KWH),
    "renewable_kwh_at_arrival": Masked("of these x that when they came", "", MAX_KWH),
}


def kwh_of(energy: Mapping[str, Any]) -> float:
    """All kWh of a line's ``energy``."""
    return sum(energy[name] for name in ("cpu_kwh", "gpu_kwh", "ram_kwh"))


def not_used(line: Mapping[str, Any]) -> tuple[float, float]:
    """Estimated kWh and kg CO2e of the epochs that a message did not train.

    Those of an epoch are those of the message while it trained, over the epochs that it trained.
    """
    energy, epochs = line.get("energy"), line.get("fewer_epochs")
    if not energy or not epochs:
        return 0.0, 0.0
    training = min(line["training_seconds"] / line["seconds"], 1.0) if line["seconds"] else 1.0
    times = training * (epochs["planned"] / epochs["trained"] - 1)
    return times * kwh_of(energy), times * energy["kg"]


def carbon_totals(lines: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Values of :data:`CARBON`, of a run's lines of ``outbox.jsonl``."""
    totals = dict.fromkeys(CARBON, 0.0)
    for line in lines:
        carbon = line.get("carbon", {})
        kwh, kg = not_used(line)
        totals["kwh_not_used"] += kwh
        totals["kg_not_used"] += kg
        for name in ("delayed_seconds", "kg_saved"):
            totals[name] += carbon.get(name, 0.0)
        if "kwh_moved" in carbon:
            moved = carbon["kwh_moved"]
            totals["kwh_moved"] += moved
            totals["renewable_kwh"] += moved * carbon[SHARE]
            totals["renewable_kwh_at_arrival"] += moved * carbon[f"{SHARE}_at_arrival"]
        by_the_hour = line.get("energy", {}).get("factor") == "file"
        totals["n_by_the_hour"] = max(totals["n_by_the_hour"], by_the_hour)
        scheduled = "fewer_epochs" in line or carbon.get("delayed_seconds", 0) > 0
        totals["n_scheduled"] = max(totals["n_scheduled"], scheduled)
    return totals
