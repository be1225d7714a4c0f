"""What a run took, in words and rows: kWh and kg CO2e apart, and whether they were measured."""

from typing import Any


def in_kwh(value: float) -> str:
    """An energy in kWh, or in Wh where that reads better."""
    return f"{value:.3g} kWh" if value >= 0.01 else f"{1000 * value:.3g} Wh"


def in_kg(value: float) -> str:
    """Emissions in kg CO2e, or in g where that reads better."""
    return f"{value:.3g} kg CO2e" if value >= 0.01 else f"{1000 * value:.3g} g CO2e"


def summary(energy: dict[str, Any]) -> str:
    """One line."""
    own, sites, sent = (energy[key] for key in ("coordinator", "sites", "communication"))
    least, most = map(in_kwh, sent["kwh"])
    network = f"communication {least} to {most}, estimated"
    coordinator = f"coordinator {_figures(own)}"
    if not sites["known"]:
        return f"{coordinator}; the sites' is not known; {network}"
    return f"sites {_figures(sites)}; {coordinator}; {network}"


def _figures(part: dict[str, Any]) -> str:
    return f"{in_kwh(part['kwh'])}, {in_kg(part['kg'])} ({part['source']})"


def rows(energy: dict[str, Any]) -> list[tuple[str, ...]]:
    """Who, CPU, GPU, memory, all, emissions, measured or estimated."""
    who = {"Coordinator": energy["coordinator"]}
    sites = energy["sites"]
    if sites["known"]:
        who = {f"{sites['n_sites']} sites": sites, **who}
    parts = ("cpu_kwh", "gpu_kwh", "ram_kwh", "kwh")
    return [
        (name, *(in_kwh(part[key]) for key in parts), in_kg(part["kg"]), part["source"])
        for name, part in who.items()
    ]
