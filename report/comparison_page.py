"""The files of a finished comparison: a table of runs, the drawing, and the page."""

import base64
import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.comparison.results import BELOW_FLOOR, FRONT, results
from common.errors import InputError
from report import page
from report.compared_run import CELLS, FIGURES, PARTS, QUALITY
from report.comparison_chart import NARROW, WIDE, chart, shown_methods
from report.comparison_rows import (
    KG,
    KWH,
    NOT_KNOWN,
    amount,
    best_by_eaps,
    change,
    difference,
    first_run_text,
    float32_text,
    floor_text,
    is_clear,
    means,
    number,
    rating,
    score,
    source,
    unclear_text,
    unit_of,
    verdict,
    work_text,
)
from report.run_page import own_version

RECORD, TABLE, DRAWING = "compare.json", "compare.csv", "compare"
ENERGY = ("kwh", "kg")


def is_comparison(folder: Path) -> bool:
    """Whether it is the folder of a comparison."""
    return (folder / RECORD).is_file()


def write_comparison_page(folder: Path) -> Path:
    """Write the files again from ``compare.json``; returns the page.

    Raises
    ------
    InputError
        The comparison is damaged, or not finished.
    """
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / RECORD} cannot be read: {error}") from None
    if record.get("status") != "finished":
        raise InputError(
            f"the comparison in {folder} is not finished: `syncytium compare` with --resume goes "
            "on with it"
        )
    quality, _ = QUALITY[record["task"]]
    return write_comparison({**record, "results": results(record, quality)}, folder)[0]


def write_comparison(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write ``report.html``, ``compare.csv`` and the drawing; returns their paths."""
    written = [page.write(_page(record, folder), folder), folder / TABLE]
    _replace(folder / TABLE, _csv(record).encode())
    for kind in ("png", "svg"):
        drawn = chart(record, kind=kind)
        if drawn is not None:
            written.append(folder / f"{DRAWING}.{kind}")
            _replace(written[-1], drawn)
    return written


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}-{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _csv(record: Mapping[str, Any]) -> str:
    """A row per run, those that do not count too; an empty field is not known."""
    names = FIGURES[record["task"]]
    columns = (
        *("method", "repeat", "counts", "seed", *names, "validation_macro_f1"),
        *("kwh", "kg", "energy_source", "sites_kwh", "sites_kg", "coordinator_kwh"),
        *("coordinator_kg", "communication_bytes", "communication_least_kwh"),
        *("communication_most_kwh", "rounds", "passes", "seconds", "target_reached", "folder"),
    )
    written = io.StringIO()
    rows = csv.DictWriter(written, columns, lineterminator="\n", restval="")
    rows.writeheader()
    for counts, runs in ((False, record["warm_ups"]), (True, record["runs"])):
        rows.writerows(_row(run, counts) for run in runs)
    return written.getvalue()


def _row(run: Mapping[str, Any], counts: bool) -> dict[str, Any]:
    energy, sent = run["energy"], run["communication"] or {}
    least, most = sent.get("kwh", ("", ""))
    copied = ("method", "seed", "rounds", "passes", "seconds", "folder")
    known = (
        {
            "kwh": energy["kwh"],
            "kg": energy["kg"],
            "energy_source": energy["source"],
            **{f"{who}_{k}": energy[who][k] for who in ("sites", "coordinator") for k in ENERGY},
        }
        if energy["known"]
        else {"energy_source": NOT_KNOWN}
    )
    return {
        **{key: run[key] for key in copied},
        "repeat": run["repeat"] + 1,
        "counts": "yes" if counts else "no",
        **(run["quality"] or {}),
        "validation_macro_f1": (run["validation"] or {}).get("macro_f1", ""),
        **known,
        "communication_bytes": sent.get("bytes", ""),
        "communication_least_kwh": least,
        "communication_most_kwh": most,
        "target_reached": "" if run["target_reached"] is None else run["target_reached"],
    }


def _page(record: Mapping[str, Any], folder: Path) -> str:
    found, reference = record["results"], record["reference"]
    quality, title = QUALITY[record["task"]]
    units = {key: unit_of(means(found, key), of) for key, of in (("kwh", KWH), ("kg", KG))}
    eaps_choice = best_by_eaps(found)
    methods = found["methods"]
    return page.render(
        "comparison",
        title=f"{len(methods)} methods compared",
        record=record,
        results=found,
        cells=CELLS[record["task"]],
        quality=f"{title[0].upper()}{title[1:]}",
        classifies=record["task"] == "classify",
        source=source(found),
        stated=f" ({source(found)})" if source(found) else "",
        units=units,
        facts=_facts(record),
        front=[name for name, method in methods.items() if method["verdict"] == FRONT],
        floored=[name for name, method in methods.items() if method["verdict"] == BELOW_FLOOR],
        eaps_choice=eaps_choice,
        eaps_verdict=verdict(methods[eaps_choice]) if eaps_choice else "",
        eaps_misleads=bool(eaps_choice) and methods[eaps_choice]["verdict"] != FRONT,
        pictures=_pictures(record),
        alt=_alt(record),
        floor=floor_text(found, reference),
        rows=[_method(record, name, quality, units) for name in methods],
        changes=[_changes(record, name, quality) for name in methods if name != reference],
        unclear=unclear_text(record),
        in_float32=float32_text(record),
        work=work_text(record),
        first_run=first_run_text(found),
        runs=_runs(record, quality, units),
        unknown=sorted({reason for method in methods.values() for reason in method["not_known"]}),
        version=own_version(),
        folder=str(folder),
    )


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    found, machine = record["results"], record["machine"]
    floor = found["floor"]
    target = record["target_f1"]
    return [
        ("Runs that count", f"{len(record['runs'])}"),
        ("Repeats", f"{record['repeats']}"),
        ("Compared at", f"macro-F1 {target:g}" if target else "equal work"),
        ("Floor", f"{floor['value']:.3f}" if floor else "none"),
        ("Energy is", source(found) or "not known"),
        ("Processor", f"{machine['cpu']}, {machine['n_threads']} threads"),
    ]


def _pictures(record: Mapping[str, Any]) -> dict[str, str]:
    """Data URIs by the page they are for."""
    drawn = {
        f"{size_name}_{theme}": chart(record, theme=theme, size=size)
        for size_name, size in (("wide", WIDE), ("narrow", NARROW))
        for theme in ("light", "dark")
    }
    return {
        name: "data:image/svg+xml;base64," + base64.b64encode(content).decode()
        for name, content in drawn.items()
        if content is not None
    }


def _alt(record: Mapping[str, Any]) -> str:
    quality, title = QUALITY[record["task"]]
    unit = unit_of(means(record["results"], "kwh"), KWH)
    told = [
        f"{name} {score(method['figures'], quality)} at {amount(method['figures'], 'kwh', unit)} "
        f"{unit.name}, {verdict(method)}"
        for name, method in shown_methods(record).items()
    ]
    return f"{title} against energy of a run: {'; '.join(told)}."


def _method(
    record: Mapping[str, Any], name: str, quality: str, units: Mapping[str, Any]
) -> dict[str, Any]:
    method, about = record["results"]["methods"][name], record["methods"][name]
    figures = method["figures"]
    return {
        "name": name,
        "settings": [f"{key} = {value}" for key, value in about["settings"].items()],
        "planned": about["told"],
        "passes": figures["passes"]["mean"],
        "scores": [score(figures, key) for key in FIGURES[record["task"]]],
        "validation": score(figures, "validation_macro_f1"),
        "energy": [amount(figures, key, units[key]) for key in ENERGY],
        "eaps": [rating(figures, key) for key in ("eaps", "eaps_weighted")],
        "verdict": verdict(method),
        "tone": "good" if method["verdict"] == FRONT else "same",
        "sent": page.in_bytes(figures["bytes"]["mean"]) if "bytes" in figures else "–",
        "parts": [amount(figures, key, units["kwh"]) for key in PARTS],
        "who": [amount(figures, f"{who}_kwh", units["kwh"]) for who in ("sites", "coordinator")],
        "sending": [_range(figures, key, units[key]) for key in ENERGY],
        "seconds": page.duration(figures["seconds"]["mean"]),
    }


def _range(figures: Mapping[str, Any], key: str, unit: Any) -> str:
    if f"most_{key}" not in figures:
        return "–"
    least, most = (
        number(figures[f"{end}_{key}"]["mean"] * unit.factor) for end in ("least", "most")
    )
    return f"{least} to {most}"


def _changes(record: Mapping[str, Any], name: str, quality: str) -> dict[str, Any]:
    methods = record["results"]["methods"]
    method, reference = methods[name], methods[record["reference"]]["figures"]
    return {
        "name": name,
        "quality": difference(method, quality),
        "sure": is_clear(method, quality),
        "others": [
            {"text": change(method, key, reference), "sure": is_clear(method, key)}
            for key in ("kwh", "seconds", "bytes")
        ],
    }


def _runs(
    record: Mapping[str, Any], quality: str, units: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """In the order in which they were made."""
    rows = [(run, False) for run in record["warm_ups"]] + [(run, True) for run in record["runs"]]
    rows.sort(key=lambda row: row[0]["started"] or "")
    shown = []
    for place, (run, counts) in enumerate(rows, start=1):
        energy, scored = run["energy"], run["quality"]
        shown.append(
            {
                "number": place,
                "method": run["method"],
                "repeat": f"{run['repeat'] + 1}" if counts else "does not count",
                "seed": run["seed"],
                "quality": scored[quality] if scored else None,
                "energy": [
                    number(energy[key] * units[key].factor) if energy["known"] else NOT_KNOWN
                    for key in ENERGY
                ],
                "rounds": run["rounds"],
                "target_reached": run["target_reached"],
                "seconds": run["seconds"],
            }
        )
    return shown
