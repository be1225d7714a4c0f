"""Epsilon against utility: what privacy costs, from runs at several epsilons."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from report.drawing import Drawing, drawing, drawn, legend

SIZE = (6.4, 4.2)
_ORDER = ("synthetic", "third", "fourth", "fifth")
_USUAL = ("rule", "star", "copula", "cvae")  # look the same in every curve
_APART = 1.035  # names beside each other, so that their bars can be told apart
_MARKERS = ("o", "s", "^", "D")
Row = Mapping[str, Any]


def epsilon_curve(
    rows: Sequence[Row],
    *,
    score: str,
    real: float | None = None,
    majority: float | None = None,
    title: str = "Epsilon against utility",
) -> Drawing:
    """The curve for a page.

    Parameters
    ----------
    rows
        ``{"epsilon": 1.0, "score": 0.79, "sd": 0.02}`` each: mean and standard deviation over runs;
        infinity (also as ``"inf"``) is without noise. With ``"name"`` a line for each name.
    score
        What is scored, for the axis.
    real
        What real records reach.
    majority
        What no knowledge reaches.
    """
    return drawing(title, _draw(rows, score, real, majority), _alt(rows, score, real), size=SIZE)


def epsilon_curve_file(
    rows: Sequence[Row],
    *,
    score: str,
    real: float | None = None,
    majority: float | None = None,
    theme: str = "light",
    kind: str = "svg",
) -> bytes:
    """The same as a file."""
    return drawn(_draw(rows, score, real, majority), theme=theme, size=SIZE, kind=kind)


def _draw(rows: Sequence[Row], score: str, real: float | None, majority: float | None):
    lines = _lines(rows)
    finite = sorted({e for points in lines.values() for e, *_ in points if math.isfinite(e)})
    # Infinity stands one step of the others' spacing beyond the largest, and is not joined to it.
    last = 2 * finite[-1] if finite else 1.0

    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        axes.set_xscale("log")
        for at, (name, points) in enumerate(lines.items()):
            look = (_USUAL.index(name) if set(lines) <= set(_USUAL) else at) % len(_ORDER)
            colour, marker = colours[_ORDER[look]], _MARKERS[look]
            aside = _APART ** (at - (len(lines) - 1) / 2)
            style = {"color": colour, "marker": marker, "capsize": 3, "linewidth": 1.8}
            for some, label in (
                ([p for p in points if math.isfinite(p[0])], name),
                ([(last, *p[1:]) for p in points if math.isinf(p[0])], None),
            ):
                if some:
                    x, y, sd = zip(*some, strict=True)
                    axes.errorbar([aside * e for e in x], y, yerr=sd, label=label, **style)
        # At the ends where curves seldom are.
        for value, text, at, side in (
            (real, "real records", 0.01, "left"),
            (majority, "most frequent class", 0.99, "right"),
        ):
            if value is not None:
                axes.axhline(value, color=colours["soft"], linewidth=1.1, linestyle=(0, (5, 4)))
                axes.annotate(
                    f"{text} {value:.3f}",
                    (at, value),
                    xycoords=("axes fraction", "data"),
                    xytext=(0, 3),
                    textcoords="offset points",
                    ha=side,
                    color=colours["soft"],
                    fontsize=9,
                )
        has_end = any(math.isinf(e) for points in lines.values() for e, *_ in points)
        ticks = [*finite, *([last] if has_end else [])]
        axes.set_xticks(ticks, [f"{e:g}" for e in finite] + (["∞"] if has_end else []))
        axes.set_xticks([], minor=True)
        axes.margins(x=0.06, y=0.12)
        told = ["epsilon"] + ["∞: no noise"] * has_end
        if any(sd for points in lines.values() for *_, sd in points):
            told.append("bars: standard deviation over runs")
        axes.set_xlabel("; ".join(told), color=colours["soft"])
        axes.set_ylabel(score, color=colours["soft"])
        if len(lines) > 1:
            legend(axes, colours, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)

    return draw


def _lines(rows: Sequence[Row]) -> dict[str, list[tuple[float, float, float]]]:
    """Points (epsilon, score, sd) by name, epsilon ascending."""
    lines: dict[str, list[tuple[float, float, float]]] = {}
    for row in rows:
        point = float(row["epsilon"]), float(row["score"]), float(row.get("sd") or 0.0)
        lines.setdefault(str(row.get("name", "")), []).append(point)
    return {name: sorted(points) for name, points in lines.items()}


def _alt(rows: Sequence[Row], score: str, real: float | None) -> str:
    told = []
    for name, points in _lines(rows).items():
        values = ", ".join(f"{y:.3f} at {e:g}" for e, y, _ in points)
        told.append(f"{name}: {values}" if name else values)
    beside = f" Real records: {real:.3f}." if real is not None else ""
    return f"{score} by epsilon. {'; '.join(told)}.{beside}"
