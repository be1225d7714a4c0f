"""A comparison as a table for a terminal of 80 columns."""

import textwrap
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.comparison.results import FRONT
from report.compared_run import CELLS, QUALITY
from report.comparison_rows import (
    KG,
    KWH,
    amount,
    best_by_eaps,
    first_run_text,
    float32_text,
    floor_text,
    means,
    rating,
    score,
    source,
    unclear_text,
    unit_of,
    verdict,
)

# Characters of a mean and half its interval.
COLUMN = 13


def comparison_table(record: Mapping[str, Any]) -> Table:
    """A row per method: quality, energy, emissions, EAPS and what becomes of it.

    Parameters
    ----------
    record
        A finished comparison, as ``compare.json`` has it.
    """
    found, classifies = record["results"], record["task"] == "classify"
    kwh, kg = (unit_of(means(found, key), units) for key, units in (("kwh", KWH), ("kg", KG)))
    energy = "".join(f"\n{line}" for line in textwrap.wrap(source(found), COLUMN))
    table = Table(
        title=f"{len(found['methods'])} methods, {record['repeats']} runs of each",
        title_style="bold",
        caption="\n".join(_footnotes(record)),
        caption_justify="left",
        caption_style="",
        box=box.SIMPLE_HEAD,
        padding=0,
        collapse_padding=True,
    )
    table.add_column("method", overflow="fold", min_width=12)
    if classifies:
        table.add_column("accuracy", justify="right", no_wrap=True)
    quality, title = QUALITY[record["task"]]
    table.add_column(title, justify="right", no_wrap=True)
    table.add_column(f"{kwh.name}{energy}", justify="right", no_wrap=True)
    table.add_column(f"{kg.name}{energy}", justify="right", no_wrap=True)
    if classifies:
        table.add_column("EAPS", justify="right", no_wrap=True)
    table.add_column("verdict")
    for name, method in found["methods"].items():
        figures = method["figures"]
        accuracy = f"{figures['accuracy']['mean']:.3f}" if "accuracy" in figures else "–"
        good = method["verdict"] == FRONT
        table.add_row(
            Text(name, style="bold" if good else ""),
            *([accuracy] if classifies else []),
            *(
                text.replace("± ", "±")
                for text in (
                    score(figures, quality),
                    amount(figures, "kwh", kwh),
                    amount(figures, "kg", kg),
                )
            ),
            *([rating(figures, "eaps")] if classifies else []),
            Text(verdict(method), style="green" if good else "yellow"),
        )
    return table


def _footnotes(record: Mapping[str, Any]) -> list[str]:
    found = record["results"]
    lines = [
        f"Means of runs ± half of their 95 % interval, {CELLS[record['task']]}; energy and "
        f"emissions of sites and coordinator. {floor_text(found, record['reference'])}",
        first_run_text(found),
    ]
    if unclear := unclear_text(record):
        lines.append(unclear)
    best = best_by_eaps(found)
    if best and found["methods"][best]["verdict"] != FRONT:
        lines.append(
            f"EAPS (macro-F1 per kg) alone would choose {best}, which is "
            f"{verdict(found['methods'][best])}."
        )
    if told := float32_text(record):
        lines.append(told)
    reasons = {r for method in found["methods"].values() for r in method["not_known"]}
    return [*lines, *(f"Energy is not known: {reason}." for reason in sorted(reasons))]
