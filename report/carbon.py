"""What carbon-aware scheduling saved, in words and rows; docs/carbon.md."""

from collections.abc import Iterable, Mapping
from typing import Any

from common.carbon_file import G_PER_KWH, SHARE
from common.carbon_totals import carbon_totals, not_used
from report.energy import in_kg, in_kwh
from report.page import duration, percent


def saved(carbon: Mapping[str, float]) -> list[str]:
    """Sentences about totals of :data:`common.carbon_totals.CARBON`; none if nothing was done.

    Emissions that a delay has added are said as such.
    """
    said = []
    if seconds := carbon["delayed_seconds"]:
        text = f"Rounds waited {duration(seconds)} in all for a better hour"
        if kg := carbon["kg_saved"]:
            text += f", which {_kg(kg)}"
        said.append(f"{text}.")
    if kwh := carbon["kwh_moved"]:
        then, before = (
            percent(carbon[name] / kwh) for name in ("renewable_kwh", "renewable_kwh_at_arrival")
        )
        said.append(
            f"{in_kwh(kwh)} were used at a mean renewable share of {then}, in place of {before} "
            "when the rounds came."
        )
    if kwh := carbon["kwh_not_used"]:
        said.append(
            f"Fewer local epochs in dirty hours left out {in_kwh(kwh)} and "
            f"{in_kg(carbon['kg_not_used'])}, estimated."
        )
    return said


def saved_by_sites(energy: Mapping[str, Any]) -> list[str]:
    """The same of all sites, from ``energy`` of ``run.json``, and whose emissions are by hours."""
    sites = energy["sites"]
    if not sites["known"] or "carbon" not in sites:
        return []
    carbon, n_sites = sites["carbon"], sites["n_sites"]
    said = saved(carbon)
    if said:
        count = f"{carbon['n_scheduled']} of {n_sites} sites"
        said.insert(0, f"{count} waited for a better hour, or trained less in a dirty one.")
    if carbon["delayed_seconds"]:
        said.append("Not in this is what the coordinator and other sites used while they waited.")
    if n := carbon["n_by_the_hour"]:
        said.append(f"The emissions of {n} of {n_sites} sites are by the hours of their grids.")
    return said


def of_site(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a site's page says of a run's lines of its own log: sentences, faults and rows.

    Rows: phase, round, what was done, the hour's figure when it came and when it worked, and what
    that saved.
    """
    lines = list(lines)
    return {
        "said": saved(carbon_totals(lines)),
        "faults": [line["carbon"]["fault"] for line in lines if "fault" in line.get("carbon", {})],
        "rows": [row for line in lines for row in _rows(line)],
    }


def _rows(line: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    carbon, where = line.get("carbon", {}), (line["phase"], str(line["round"]))
    if seconds := carbon.get("delayed_seconds"):
        before, now, gain = "–", "–", "not known"
        if G_PER_KWH in carbon:
            before, now = (
                f"{carbon[key]:.0f} g/kWh" for key in (f"{G_PER_KWH}_at_arrival", G_PER_KWH)
            )
            gain = _kg(carbon["kg_saved"])
        elif SHARE in carbon:
            before, now = (percent(carbon[key]) for key in (f"{SHARE}_at_arrival", SHARE))
            gain = f"moved {in_kwh(carbon['kwh_moved'])}"
        yield (*where, f"waited {duration(seconds)}", before, now, gain)
    if epochs := line.get("fewer_epochs"):
        kwh, kg = not_used(line)
        done = f"{epochs['trained']} of {epochs['planned']} epochs"
        yield (*where, done, "–", "–", f"left out {in_kwh(kwh)}, {in_kg(kg)}, estimated")


def _kg(kg: float) -> str:
    return f"{'saved' if kg >= 0 else 'cost'} {in_kg(abs(kg))}"
