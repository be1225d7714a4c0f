"""What a run took, in words and rows: kWh and kg CO2e apart, and whether they were measured."""

from typing import Any

from common.energy import MEASURED

PARTS = ("cpu_kwh", "gpu_kwh", "ram_kwh", "kwh")


def in_kwh(value: float) -> str:
    """An energy in kWh, or in Wh or mWh where that reads better."""
    for factor, unit in ((1, "kWh"), (1e3, "Wh")):
        if value * factor >= 1 or not value:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e6:.3g} mWh"


def in_kg(value: float) -> str:
    """Emissions in kg CO2e, or in g or mg where that reads better."""
    for factor, unit in ((1, "kg"), (1e3, "g")):
        if value * factor >= 1 or not value:
            return f"{value * factor:.3g} {unit} CO2e"
    return f"{value * 1e6:.3g} mg CO2e"


def how(part: dict[str, Any]) -> str:
    """How figures came about: a GPU's are measured or missing, memory's always an estimate."""
    measured = ["CPU"] if part["source"] == MEASURED else []
    measured += ["GPU"] if part["gpu_kwh"] else []
    if not measured:
        return "estimated"
    rest = "memory" if "CPU" in measured else "CPU, memory"
    return f"{', '.join(measured)} measured, {rest} estimated"


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
    return f"{in_kwh(part['kwh'])}, {in_kg(part['kg'])} ({how(part)})"


def rows(energy: dict[str, Any]) -> list[tuple[str, ...]]:
    """Who, CPU, GPU, memory, all, emissions, how that is known."""
    who = {"Coordinator": energy["coordinator"]}
    sites = energy["sites"]
    if sites["known"]:
        who = {f"{sites['n_sites']} sites": sites, **who}
    return [
        (name, *(in_kwh(part[key]) for key in PARTS), in_kg(part["kg"]), how(part))
        for name, part in who.items()
    ]


def phase_rows(energy: dict[str, Any]) -> list[tuple[str, ...]]:
    """Phase, the sites' energy and emissions and the coordinator's, most energy first."""
    parts = [energy[who].get("by_phase", {}) for who in ("sites", "coordinator")]
    phases = {
        phase: sum(part.get(phase, {}).get("kwh", 0.0) for part in parts)
        for phase in {**parts[0], **parts[1]}
    }
    return [
        (
            phase,
            *(
                text(part[phase][key]) if phase in part else "–"
                for part in parts
                for key, text in (("kwh", in_kwh), ("kg", in_kg))
            ),
        )
        for phase in sorted(phases, key=lambda phase: -phases[phase])
    ]


def notes(energy: dict[str, Any]) -> list[str]:
    """What one has to know to read the figures."""
    own, sites = energy["coordinator"], energy["sites"]
    said = []
    if own.get("why_estimated"):
        said.append(f"The coordinator's CPU energy is estimated: {own['why_estimated']}.")
    if not sites["known"]:
        return [*said, f"The sites' energy is not known: {sites['reason']}."]
    if estimated := sites["n_sites_estimated"]:
        said.append(
            f"{estimated} of {sites['n_sites']} sites estimated their CPU energy; each one's own "
            "log says why."
        )
    if sites.get("since_resumed"):
        said.append("The sites' energy is of the time since the run was resumed.")
    if unmetered := sites.get("n_gpu_unmetered"):
        said.append(
            f"{unmetered} of {sites['n_sites']} sites used a GPU without a counter of its energy, "
            "which is missing here."
        )
    if unknown := sites.get("n_without_emissions"):
        said.append(
            f"{unknown} of {sites['n_sites']} sites name a country of unknown emissions: their kg "
            "CO2e are missing here, their kWh are not; each one's own log says how to mend it."
        )
    if unmetered := sites.get("n_unmetered"):
        said.append(f"{unmetered} replies of sites were not metered and are missing here.")
    return said
