"""What a comparison says of its methods, from the figures of their runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from common.comparison.pareto import dominators, eaps
from common.comparison.plan import ALLOWED_LOSS
from common.comparison.statistics import interval, paired

# What becomes of a method, the first that holds.
NOT_SCORED = "not scored"
NOT_REACHED = "target not reached"
BELOW_FLOOR = "below the floor"
NOT_KNOWN = "energy not known"
BEATEN = "beaten"
FRONT = "on the front"

Run = Mapping[str, Any]


def results(record: Mapping[str, Any], quality: str) -> dict[str, Any]:
    """Means, intervals, differences to the reference, floor and front.

    Parameters
    ----------
    record
        A comparison with all its runs: ``methods``, ``reference``, ``floor``, ``target_f1``,
        ``task``, ``runs`` and ``warm_ups``.
    quality
        The figure by which methods are compared.

    Returns
    -------
    ``methods``, by name; ``floor``; ``first_run``; ``sources`` of the energy's figures.
    """
    runs = {
        name: sorted((r for r in record["runs"] if r["method"] == name), key=lambda r: r["repeat"])
        for name in record["methods"]
    }
    values = {name: _values(own, record["task"]) for name, own in runs.items()}
    reference = values[record["reference"]]
    methods = {}
    for name, own in values.items():
        both = [key for key in own if own[key] and reference.get(key)]
        methods[name] = {
            "n_runs": len(runs[name]),
            "figures": {key: asdict(interval(series)) for key, series in own.items() if series},
            "differences": {
                key: asdict(paired(own[key], reference[key]))
                for key in both
                if name != record["reference"]
            },
            "reached": sum(run["target_reached"] is not None for run in runs[name]),
        }
    floor = _floor(record, methods, quality)
    for name, method in methods.items():
        method["verdict"] = _verdict(method, floor, record["target_f1"], quality)
        method["not_known"] = sorted(
            {r["energy"]["reason"] for r in runs[name] if not r["energy"]["known"]}
        )
    _place(methods, quality)
    return {
        "quality": quality,
        "methods": methods,
        "floor": floor,
        "first_run": _first_run(record),
        "sources": sorted(
            {run["energy"]["source"] for run in record["runs"] if run["energy"]["known"]}
        ),
    }


def _values(runs: Sequence[Run], task: str) -> dict[str, list[float] | None]:
    """Series over the repeats; None where a run lacks it: a mean of some is none of all."""
    series: dict[str, list[float | None]] = {}
    for run in runs:
        energy, quality = run["energy"], run["quality"] or {}
        sent, kg = run["communication"] or {}, energy.get("kg")
        of_run = {
            **quality,
            "validation_macro_f1": (run["validation"] or {}).get("macro_f1"),
            "kwh": energy.get("kwh"),
            "kg": energy.get("kg"),
            **{key: energy.get(key) for key in ("cpu_kwh", "gpu_kwh", "ram_kwh")},
            **{f"{who}_kwh": energy.get(who, {}).get("kwh") for who in ("sites", "coordinator")},
            "seconds": run["seconds"],
            "bytes": sent.get("bytes"),
            **dict(zip(("least_kwh", "most_kwh"), sent.get("kwh", (None, None)), strict=True)),
            **dict(zip(("least_kg", "most_kg"), sent.get("kg", (None, None)), strict=True)),
            "passes": run["passes"],
        }
        if task == "classify":
            for key, name in (("eaps", "macro_f1"), ("eaps_weighted", "weighted_f1")):
                known = quality and kg
                of_run[key] = eaps(quality[name], kg) if known else None
        for key, value in of_run.items():
            series.setdefault(key, []).append(value)
    return {
        key: None if None in found or len(found) < len(runs) else found
        for key, found in series.items()
    }


def _floor(
    record: Mapping[str, Any], methods: Mapping[str, Any], quality: str
) -> dict[str, Any] | None:
    """The floor, judged on validation cells where every run has scored them."""
    on_validation = all("validation_macro_f1" in m["figures"] for m in methods.values())
    key = "validation_macro_f1" if record["task"] == "classify" and on_validation else quality
    cells = "validation" if key == "validation_macro_f1" else "test"
    # A correction holds out no cell: it is scored on all of them.
    cells = cells if record["task"] == "classify" else ""
    own = methods[record["reference"]]["figures"].get(key)
    given = record["floor"]
    if given is None and own is None:
        return None
    return {
        "value": own["mean"] - ALLOWED_LOSS if given is None else given,
        "given": given is not None,
        "figure": key,
        "cells": cells,
    }


def _verdict(
    method: Mapping[str, Any], floor: Mapping[str, Any] | None, target: float, quality: str
) -> str:
    """That of the method by itself; :func:`_place` puts those on the front against each other."""
    figures = method["figures"]
    if quality not in figures:
        return NOT_SCORED
    if target and method["reached"] < method["n_runs"]:
        return NOT_REACHED
    if floor and figures[floor["figure"]]["mean"] < floor["value"]:
        return BELOW_FLOOR
    return FRONT if "kwh" in figures else NOT_KNOWN


def _place(methods: Mapping[str, dict[str, Any]], quality: str) -> None:
    points = {
        name: (method["figures"][quality]["mean"], method["figures"]["kwh"]["mean"])
        for name, method in methods.items()
        if method["verdict"] == FRONT
    }
    for name, others in dominators(points).items():
        methods[name]["beaten_by"] = others
        if others:
            methods[name]["verdict"] = BEATEN


def _first_run(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The discarded run beside the later ones of its method; None where energy is not known."""
    if not record["warm_ups"]:
        return None
    first = record["warm_ups"][0]
    later = [run for run in record["runs"] if run["method"] == first["method"]]
    known = [run["energy"]["kwh"] for run in later if run["energy"]["known"]]
    if not first["energy"]["known"] or len(known) < len(later) or not sum(known):
        return None
    mean = sum(known) / len(known)
    return {
        "method": first["method"],
        "kwh": first["energy"]["kwh"],
        "later_kwh": mean,
        "ratio": first["energy"]["kwh"] / mean,
        "seconds_ratio": first["seconds"] / (sum(run["seconds"] for run in later) / len(later)),
    }
