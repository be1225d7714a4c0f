"""Loss by round as a drawing: lines, ticks and labels in its own units."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 124, 18, 42
GAP = 15.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A curve: its name, its dots, its pieces between rounds without a value, its name's place."""

    name: str
    kind: str
    dots: list[tuple[float, float]]
    pieces: list[str]
    label_y: float


@dataclass(frozen=True)
class LossChart:
    """What the template draws; ``kept`` is the x of the model that is kept, if any."""

    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    kept: float | None
    kept_text: str
    alt: str


def loss_chart(rounds: Sequence[Mapping[str, Any]], kept_round: int | None) -> LossChart | None:
    """The validation loss of the model after each round, and the training loss within each.

    A round's line in ``metrics.jsonl`` holds the validation loss of the model that it started from:
    that of the round before. None where no round has a loss.
    """
    curves = {
        "validation": [
            (line["round"] - 1, line.get("validation_loss_before"))
            for line in rounds
            # Not every round validates: the curve goes on to the next that does.
            if "void" in line or line.get("validation_loss_before") is not None
        ],
        "training": [(line["round"], line.get("train_loss")) for line in rounds],
    }
    values = [y for points in curves.values() for _, y in points if _is_number(y)]
    if not values:
        return None
    last = max(line["round"] for line in rounds)
    low, high, step = _nice(min(values), max(values))

    def x_of(round_: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * round_ / last, 1)

    def y_of(loss: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low), 1)

    lines = []
    for name, points in curves.items():
        drawn = [(x_of(r), y_of(y)) if _is_number(y) else None for r, y in points]
        dots = [dot for dot in drawn if dot]
        if dots:
            lines.append(Line(name, name, dots, _pieces(drawn), dots[-1][1]))
    lines = _apart(lines)
    every = max(1, math.ceil(last / 12))
    n_digits = max(0, -math.floor(math.log10(step)))
    ticks = [low + i * step for i in range(round((high - low) / step) + 1)]
    return LossChart(
        lines,
        [Tick(x_of(r), str(r)) for r in range(0, last + 1, every)],
        [Tick(y_of(y), f"{y:.{n_digits}f}") for y in ticks],
        None if kept_round is None else x_of(kept_round),
        "" if kept_round is None else f"kept: after round {kept_round}",
        _alt(curves, kept_round),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _nice(low: float, high: float) -> tuple[float, float, float]:
    """Limits at multiples of a round step, three to six of them."""
    spread = high - low or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(spread / 3))
    step *= next(factor for factor in (1, 2, 5, 10) if spread / (factor * step) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return first * step, max(last, first + 1) * step, step


def _pieces(drawn: Sequence[tuple[float, float] | None]) -> list[str]:
    pieces: list[list[str]] = [[]]
    for dot in drawn:
        if dot is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{dot[0]},{dot[1]}")
    return [" ".join(piece) for piece in pieces if len(piece) > 1]


def _apart(lines: list[Line]) -> list[Line]:
    if len(lines) < 2 or abs(lines[0].label_y - lines[1].label_y) >= GAP:
        return lines
    upper, lower = sorted(lines, key=lambda line: line.label_y)
    middle = (upper.label_y + lower.label_y) / 2
    return [
        Line(line.name, line.kind, line.dots, line.pieces, middle + by * GAP / 2)
        for line, by in ((upper, -1), (lower, 1))
    ]


def _alt(curves: Mapping[str, Sequence[tuple[int, Any]]], kept_round: int | None) -> str:
    told = []
    for name, points in curves.items():
        known = [(r, y) for r, y in points if _is_number(y)]
        if not known:
            continue
        (first, start), (last, end) = known[0], known[-1]
        best, lowest = min(known, key=lambda point: point[1])
        when = "in" if name == "training" else "after"
        text = f"{name} loss {start:.4f} {when} round {first}"
        if len(known) > 1:
            text += f", {end:.4f} {when} round {last}, lowest {lowest:.4f} {when} round {best}"
        told.append(text)
    kept = "" if kept_round is None else f" The model after round {kept_round} is kept."
    return f"Loss by round: {'; '.join(told)}.{kept}"
