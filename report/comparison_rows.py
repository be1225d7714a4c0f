"""A comparison's figures as text: one unit a column, means with half their interval."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common.comparison.results import BEATEN, NOT_REACHED
from common.energy import MEASURED
from report.compared_run import joint_source

Figures = Mapping[str, Mapping[str, float]]
NONE = "–"
NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Unit:
    """A unit that makes a column's figures readable; ``factor`` of it make one of the kept unit."""

    name: str
    factor: float


KWH = (Unit("kWh", 1.0), Unit("Wh", 1e3), Unit("mWh", 1e6))
KG = (Unit("kg CO2e", 1.0), Unit("g CO2e", 1e3), Unit("mg CO2e", 1e6))


def unit_of(values: Iterable[float], units: tuple[Unit, ...]) -> Unit:
    """The first in which the largest value is at least 0.1."""
    largest = max(values, default=1.0)
    return next((unit for unit in units if largest * unit.factor >= 0.1), units[-1])


def means(results: Mapping[str, Any], figure: str) -> list[float]:
    """Of all methods that have the figure."""
    methods = results["methods"].values()
    return [m["figures"][figure]["mean"] for m in methods if figure in m["figures"]]


def score(figures: Figures, name: str) -> str:
    """A share with half of its interval."""
    if name not in figures:
        return NONE
    return f"{figures[name]['mean']:.3f} ± {_half(figures[name]):.3f}"


def amount(figures: Figures, name: str, unit: Unit) -> str:
    """Energy or emissions with half of the interval, three digits of the mean."""
    if name not in figures:
        return NOT_KNOWN
    mean = figures[name]["mean"] * unit.factor
    half = _half(figures[name]) * unit.factor
    if not mean and not half:
        return "0"
    return f"{number(mean)} ± {half:,.{_decimals(mean)}f}"


def rating(figures: Figures, name: str) -> str:
    """EAPS, in three digits."""
    if name not in figures:
        return NONE
    return number(figures[name]["mean"])


def difference(method: Mapping[str, Any], name: str) -> str:
    """Of a share to the reference's, with its interval."""
    if name not in method["differences"]:
        return NONE
    of = method["differences"][name]
    return f"{signed(of['mean'])} ({signed(of['low'])} to {signed(of['high'])})"


def change(method: Mapping[str, Any], name: str, reference: Figures) -> str:
    """Of an amount, in per cent of the reference's mean."""
    if name not in method["differences"] or not reference[name]["mean"]:
        return NONE
    mean, low, high = (
        signed(100 * method["differences"][name][key] / reference[name]["mean"], 0)
        for key in ("mean", "low", "high")
    )
    return f"{mean}\u00a0% ({low} to {high})"


def is_clear(method: Mapping[str, Any], name: str) -> bool:
    """Whether the interval of a difference leaves out 0."""
    of = method["differences"].get(name)
    return of is not None and not of["low"] <= 0 <= of["high"]


def unclear_text(record: Mapping[str, Any]) -> str:
    """That no method's energy is shown to differ; "" where one's is."""
    others = [
        method
        for name, method in record["results"]["methods"].items()
        if name != record["reference"] and "kwh" in method["differences"]
    ]
    if not others or any(is_clear(method, "kwh") for method in others):
        return ""
    return (
        f"No method is shown to take more or less energy than {record['reference']}: the interval "
        "of every difference holds 0. More repeats narrow it (--resume --repeats N)."
    )


def verdict(method: Mapping[str, Any]) -> str:
    """What becomes of a method, in words."""
    if method["verdict"] == BEATEN:
        return f"beaten by {', '.join(method['beaten_by'])}"
    if method["verdict"] == NOT_REACHED:
        missed = method["n_runs"] - method["reached"]
        return f"{NOT_REACHED} in {missed} of {method['n_runs']}"
    return method["verdict"]


def how(source: str) -> str:
    """How figures came about; memory's are always estimates."""
    return "CPU measured, memory estimated" if source == MEASURED else source


def source(results: Mapping[str, Any]) -> str:
    """Whether energy was measured or estimated; "" where none is known."""
    sources = set(results["sources"])
    return how(joint_source(sources)) if sources else ""


def floor_text(results: Mapping[str, Any], reference: str) -> str:
    """The floor, where it is from and on which cells it is judged."""
    if (floor := results["floor"]) is None:
        return "There is no floor: the reference was not scored."
    given = "as given" if floor["given"] else f"the mean of {reference} less 0.02"
    judged = f", judged on {floor['cells']} cells" if floor["cells"] else ""
    return f"Floor {floor['value']:.3f}, {given}{judged}."


def best_by_eaps(results: Mapping[str, Any]) -> str | None:
    """The method that EAPS alone would choose."""
    rated = {
        name: method["figures"]["eaps"]["mean"]
        for name, method in results["methods"].items()
        if "eaps" in method["figures"]
    }
    return max(rated, key=rated.__getitem__) if rated else None


def first_run_text(results: Mapping[str, Any]) -> str:
    """What the discarded run would have done to its method."""
    if (first := results["first_run"]) is None:
        return "The first run, which does not count, has no energy to compare."
    return (
        f"The first run, {first['method']}, does not count: it took {first['ratio']:.2f} times the "
        f"energy and {first['seconds_ratio']:.2f} times the time of that method's later runs."
    )


def work_text(record: Mapping[str, Any]) -> str:
    """What is equal between the methods."""
    if target := record["target_f1"]:
        return (
            f"Every run trained until macro-F1 was {target:g} on validation cells; a method that "
            "did not come there in every run is left out of the front."
        )
    kind = record["methods"][record["reference"]]["work"]["kind"]
    if kind == "optimum":
        return "Every method is brought to its optimum."
    return "Every method does the same work: as many passes over the training cells."


def number(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:,.{_decimals(value)}f}"


def signed(value: float, decimals: int = 3) -> str:
    """With a sign, but for what rounds to 0."""
    shown = f"{value:+.{decimals}f}"
    return f"{0:.{decimals}f}" if float(shown) == 0 else shown.replace("-", "−")


def _half(of: Mapping[str, float]) -> float:
    return (of["high"] - of["low"]) / 2


def _decimals(value: float) -> int:
    """That leave three digits."""
    return max(0, 2 - int(f"{value:e}".rpartition("e")[2]))


def float32_text(record: Mapping[str, Any]) -> str:
    """Of methods in bf16 that were none at some site; "" if there are none."""
    names = sorted({run["method"] for run in record["runs"] if run.get("float32_sites")})
    if not names:
        return ""
    return (
        f"Sites trained in float32 in runs of {', '.join(names)}, since their device has no bf16: "
        "that is the method without it."
    )
