"""Quality against energy: a point per method with both intervals, the floor, the Pareto front."""

import io
from collections.abc import Mapping
from typing import Any

from common.comparison.results import BELOW_FLOOR, FRONT, NOT_REACHED
from report.compared_run import CELLS, QUALITY
from report.comparison_rows import KWH, Unit, means, source, unit_of

# As the style sheet has them, on a light and on a dark page.
THEMES = {
    "light": {"ground": "#ffffff", "ink": "#17202b", "soft": "#55606e", "line": "#dde2e8"},
    "dark": {"ground": "#1a2027", "ink": "#e6eaee", "soft": "#a3aeba", "line": "#323b46"},
}
COLOURS = {
    "light": {FRONT: "#005b8f", BELOW_FLOOR: "#a8390b", NOT_REACHED: "#a8390b"},
    "dark": {FRONT: "#6cbdf0", BELOW_FLOOR: "#ff9b73", NOT_REACHED: "#ff9b73"},
}
MARKERS = {FRONT: "o", BELOW_FLOOR: "v", NOT_REACHED: "X"}
# Inches, at the letters' size of the page.
WIDE, NARROW = (7.6, 4.6), (4.0, 4.2)


def shown_methods(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Those that have both figures."""
    quality, _ = QUALITY[record["task"]]
    return {
        name: method
        for name, method in record["results"]["methods"].items()
        if {quality, "kwh"} <= set(method["figures"])
    }


def chart(
    record: Mapping[str, Any],
    *,
    kind: str = "svg",
    theme: str = "light",
    size: tuple[float, float] = WIDE,
) -> bytes | None:
    """The drawing as a file of this kind; None where no method has both figures.

    Parameters
    ----------
    record
        A finished comparison, as ``compare.json`` has it.
    kind
        ``"svg"`` or ``"png"``.
    theme
        Of ``THEMES``.
    size
        Width and height in inches.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    methods = shown_methods(record)
    if not methods:
        return None
    colours = THEMES[theme]
    unit = unit_of(means(record["results"], "kwh"), KWH)
    # Its ids by chance would make each drawing of one comparison another file.
    with mpl.rc_context({"svg.hashsalt": "syncytium", "font.size": 10}):
        figure = Figure(figsize=size, dpi=200, facecolor=colours["ground"], layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(facecolor=colours["ground"])
        _dress(axes, record, colours, unit)
        for name, method in methods.items():
            _point(axes, record, name, method, unit, theme)
        axes.margins(x=0.12, y=0.12)
        _front(axes, record, methods, unit, theme)
        _floor(axes, record, colours)
        _name(figure, axes, record, methods, unit, colours)
        written = io.BytesIO()
        about = {"Date": None} if kind == "svg" else None
        figure.savefig(written, format=kind, facecolor=colours["ground"], metadata=about)
    return written.getvalue()


def _at(record: Mapping[str, Any], method: Mapping[str, Any], unit: Unit) -> tuple[Any, Any]:
    quality, _ = QUALITY[record["task"]]
    figures = method["figures"]
    scaled = {key: value * unit.factor for key, value in figures["kwh"].items()}
    if record["task"] != "classify":
        return scaled, figures[quality]
    # An interval by Student's t knows nothing of the ends of a share.
    share = {key: min(max(figures[quality][key], 0.0), 1.0) for key in ("mean", "low", "high")}
    return scaled, share


def _dress(axes: Any, record: Mapping[str, Any], colours: Mapping[str, str], unit: Unit) -> None:
    _, title = QUALITY[record["task"]]
    what = source(record["results"])
    energy = f"Energy of a run, {unit.name}"
    # On one line a narrow drawing has no room for more.
    apart = " " if len(what) < 20 else "\n"
    axes.set_xlabel(f"{energy}{apart}({what})", color=colours["soft"])
    name = f"{title[0].upper()}{title[1:]}"
    axes.set_ylabel(f"{name}, {CELLS[record['task']]}", color=colours["soft"])
    axes.tick_params(colors=colours["soft"], length=0)
    axes.grid(color=colours["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def _point(
    axes: Any,
    record: Mapping[str, Any],
    name: str,
    method: Mapping[str, Any],
    unit: Unit,
    theme: str,
) -> None:
    x, y = _at(record, method, unit)
    colour = COLOURS[theme].get(method["verdict"], THEMES[theme]["soft"])
    front = method["verdict"] == FRONT
    axes.errorbar(
        x["mean"],
        y["mean"],
        xerr=[[x["mean"] - x["low"]], [x["high"] - x["mean"]]],
        yerr=[[y["mean"] - y["low"]], [y["high"] - y["mean"]]],
        fmt=MARKERS.get(method["verdict"], "o"),
        color=colour,
        markerfacecolor=colour if front else THEMES[theme]["ground"],
        markersize=8,
        markeredgewidth=1.6,
        elinewidth=1.2,
        capsize=3,
        zorder=3,
    )


def _front(
    axes: Any,
    record: Mapping[str, Any],
    methods: Mapping[str, Mapping[str, Any]],
    unit: Unit,
    theme: str,
) -> None:
    found = [_at(record, m, unit) for m in methods.values() if m["verdict"] == FRONT]
    points = sorted((x["mean"], y["mean"]) for x, y in found)
    if not points:
        return
    # What energy buys: from a method on, its quality, until the next one's is to be had.
    right = axes.get_xlim()[1]
    axes.step(
        [x for x, _ in points] + [right],
        [y for _, y in points] + [points[-1][1]],
        where="post",
        color=COLOURS[theme][FRONT],
        linewidth=1.4,
        alpha=0.55,
        zorder=2,
    )
    axes.set_xlim(right=right)


def _floor(axes: Any, record: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    if (floor := record["results"]["floor"]) is None:
        return
    low, high = axes.get_ylim()
    low, high = min(low, floor["value"]), max(high, floor["value"])
    axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    axes.axhline(floor["value"], color=colours["soft"], linewidth=1.1, linestyle=(0, (5, 4)))
    axes.annotate(
        f"floor\n{floor['value']:.3f}",
        (1, floor["value"]),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=colours["soft"],
        fontsize=9,
    )


def _name(
    figure: Any,
    axes: Any,
    record: Mapping[str, Any],
    methods: Mapping[str, Mapping[str, Any]],
    unit: Unit,
    colours: Mapping[str, str],
) -> None:
    """Names beside the points, each at the first place where it covers no other and no point."""
    from matplotlib.transforms import Bbox

    figure.canvas.draw()
    middles = [_at(record, method, unit) for method in methods.values()]
    points = [axes.transData.transform((x["mean"], y["mean"])) for x, y in middles]
    radius = 5 * figure.dpi / 72
    dots = [(at, Bbox.from_extents(*(at - radius), *(at + radius))) for at in points]
    taken: list[Any] = []
    frame = axes.get_window_extent()
    for name, (x, y), own in zip(methods, middles, points, strict=True):
        best, least = None, None
        for dx, dy in _places():
            text = axes.annotate(
                name,
                (x["mean"], y["mean"]),
                xytext=(dx, dy),
                textcoords="offset points",
                ha="left" if dx > 0 else "right",
                va="center",
                color=colours["ink"],
                fontsize=10,
                fontweight="bold",
                zorder=4,
            )
            box = text.get_window_extent()
            faults = sum(box.overlaps(other) for other in taken)
            faults += sum(box.overlaps(other) for at, other in dots if at is not own)
            faults += 3 * (box.x0 < frame.x0 or box.x1 > frame.x1)
            faults += 3 * (box.y0 < frame.y0 or box.y1 > frame.y1)
            if least is None or faults < least:
                if best is not None:
                    best.remove()
                best, least = text, faults
            else:
                text.remove()
            if not least:
                break
        taken.append(best.get_window_extent())


def _places() -> list[tuple[float, float]]:
    """Offsets from a point, in points, clear of its error bars where they are short."""
    return [(dx, dy) for dy in (10, -11, 24, -25, 38, -39) for dx in (8, -8)]
