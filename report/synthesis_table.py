"""The scores and the audit of a synthetic cohort as a table for a terminal of 80 columns."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.synthesis.scores.figures import FIGURES
from report.privacy_words import statement

_UNDEFINED = "–"
ARROWS = {"higher": " ↑", "lower": " ↓", "1": " (1 is best)", "0.5": " (0.5 is best)"}


def synthesis_table(result: Mapping[str, Any]) -> Table:
    """A row per figure: the synthetic cohort and, in its place, real records.

    Parameters
    ----------
    result
        What ``evaluate_synthesis`` returns, or the same read back from JSON.
    """
    table = Table(
        title="The synthetic cohort beside real records",
        title_style="bold",
        caption="\n".join(_footnotes(result)),
        caption_justify="left",
        caption_style="",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    table.add_column("score", overflow="fold")
    for name in ("synthetic", "real"):
        table.add_column(name, justify="right", min_width=10)
    scores, heading = result["scores"], ""
    for name, figure in FIGURES.items():
        if figure.group != heading:
            heading = figure.group
            table.add_row(Text(heading, style="bold"))
        table.add_row(
            Text(f"  {figure.title}{ARROWS[figure.better]}"),
            number(scores["synthetic"][name]),
            number(scores["real"][name]),
        )
    if result["audit"]["audited"]:
        _audited(table, result["audit"])
    return table


def number(value: float | None) -> str:
    """Three decimals; a dash where there is no value."""
    return _UNDEFINED if value is None else f"{value:.3f}"


def _audited(table: Table, audit: Mapping[str, Any]) -> None:
    table.add_row(Text("Does it give away who was in it?", style="bold"))
    for name, found in audit["attacks"].items():
        auc = found["auc"]
        table.add_row(
            Text(f"  AUC of the attack by {name.replace('_', ' ')} ({interval(auc)})"),
            number(auc["value"]),
            number(0.5),
        )
        for rate, one in found["tpr"].items():
            table.add_row(
                Text(f"    found at {float(rate):.0%} false positives ({interval(one)})"),
                number(one["value"]),
                number(float(rate)),
            )
    near = audit["closest"]
    table.add_row(
        Text("  Distance to the closest record, own over others'"), number(near["ratio"]), "1"
    )
    table.add_row(Text("  Exact copies"), str(near["copies"]), str(near["copies_of_held_out"]))


def interval(one: Mapping[str, float]) -> str:
    """The 95 % interval of an estimate."""
    return f"{one['low']:.3f} to {one['high']:.3f}"


def _footnotes(result: Mapping[str, Any]) -> list[str]:
    n = result["n_records"]
    lines = list(statement(result["privacy"]))
    held_out = f", {n['held out']:,} held out" if "held out" in n else ""
    lines.append(
        f"{n['synthetic']:,} synthetic records, {n['real']:,} real{held_out}; "
        f"{result['n_genes']:,} genes, {len(result['classes'])} classes. Answering the most "
        f"frequent class: accuracy {result['majority']:.3f}."
    )
    lines.append(
        "Classifiers are trained on the synthetic cohort and tested on held-out records; "
        '"real": trained on real ones, and held-out records in the cohort\'s place.'
        if "held out" in n
        else "No held-out records were given: classifiers are tested on the records that the "
        "cohort was made from, and there is no audit of membership (--held-out FILE)."
    )
    if max(n.values()) > result["max_records"]:
        lines.append(
            f"Of more than {result['max_records']:,} records of a kind a random sample (seed "
            f"{result['seed']})."
        )
    if result["n_left_out"]:
        lines.append(
            f"{result['n_left_out']:,} real records have no class of the cohort: left out."
        )
    if result["audit"]["audited"]:
        lines.append(
            f"Attacks are judged by {result['unit']}; 95 % intervals (AUC: DeLong; others: "
            "bootstrap). That no attack finds much proves nothing: epsilon does."
        )
    elif "held out" in n:
        lines.append(f"Not audited: {result['audit']['reason']}.")
    return lines
