"""Pictures of a synthetic cohort beside real records: UMAP, genes, and the attacks' curves."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.synthesis.scores.space import N_PCS, at_most, principal_components, standardised
from report import palette, scatter
from report.drawing import Drawing, drawing, legend
from report.pictures import SHOWN, Pictures, coloured
from report.synthetic_cohort import as_logs, read_cohorts
from report.traffic import natural
from report.umap_layout import SETTINGS, umap_layout

REAL, MADE = "real", "synthetic"
_CURVES = ("synthetic", "real", "third", "fourth")


def cohort_pictures(
    run_dir: Path, config: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> Pictures:
    """One UMAP of both cohorts together: by kind, and of each by class.

    Raises
    ------
    InputError
        A file that was scored is gone.
    """
    start, seed = time.perf_counter(), int(evaluation["seed"])
    files = [Path(path) for path in evaluation["files"]["real"]]
    most = int(evaluation["max_records"])
    cohorts = read_cohorts(run_dir, config, files, [])
    pair = [as_logs(cohorts, r, most, seed) for r in (cohorts.real, cohorts.synthetic)]
    n = min(SHOWN // 2, *(len(records.values) for records in pair))
    chosen = [at_most(np.arange(len(records.values)), n, seed) for records in pair]
    x = [
        standardised(records.values[rows], pair[0].values)
        for records, rows in zip(pair, chosen, strict=True)
    ]
    components = principal_components(np.concatenate(x), seed)
    at = scatter.scaled(umap_layout(components, seed))
    names = np.array(cohorts.classes, dtype=object)
    of_class = [names[r.classes[rows]] for r, rows in zip(pair, chosen, strict=True)]
    which = np.repeat(np.array([REAL, MADE], dtype=object), n)
    colours = palette.colours(sorted(cohorts.classes, key=natural))
    kinds = {REAL: palette.COLOURS[1], MADE: palette.COLOURS[0]}
    rows = [
        coloured("kind", which, {"Both together": at}, named=False, seed=seed, colours=kinds),
        *(
            coloured(
                "class",
                of_class[i],
                {title: at[which == kind]},
                named=True,
                seed=seed,
                colours=colours,
            )
            for i, (kind, title) in enumerate(
                ((REAL, "Real, by class"), (MADE, "Synthetic, by class"))
            )
        ),
    ]
    how = (
        f"{n:,} real and {n:,} synthetic records, genes standardised by the real ones; up to "
        f"{N_PCS} principal components of both together; {SETTINGS}; seed {seed}"
    )
    n_all = sum(len(records.values) for records in pair)
    return Pictures(rows, 2 * n, n_all, time.perf_counter() - start, how)


def gene_drawings(evaluation: Mapping[str, Any]) -> list[Drawing]:
    """Each gene's mean and variance, synthetic against real."""
    genes = evaluation["scores"]["per_gene"]
    found = []
    for what in ("mean", "variance"):
        real, made = (np.array(genes[f"{kind}_{what}"]) for kind in (REAL, MADE))

        def draw(
            axes: Any,
            colours: Mapping[str, str],
            real: np.ndarray = real,
            made: np.ndarray = made,
            what: str = what,
        ) -> None:
            if what == "variance" and min(real.min(), made.min()) > 0:
                axes.set_xscale("log")
                axes.set_yscale("log")
            ends = [min(real.min(), made.min()), max(real.max(), made.max())]
            axes.plot(ends, ends, color=colours["soft"], linewidth=1)
            axes.scatter(real, made, s=7, color=colours["synthetic"], alpha=0.5, linewidths=0)
            axes.set_xlabel(f"{what} in real records", color=colours["soft"])
            axes.set_ylabel(f"{what} in the synthetic cohort", color=colours["soft"])

        off = float(np.abs(real - made).mean())
        agree = _correlation(real, made)
        alt = (
            f"{what.capitalize()} of {len(real):,} genes, synthetic against real: correlation "
            f"{agree}, mean absolute difference {off:.3f}."
        )
        title = f"{what.capitalize()} of each gene"
        found.append(drawing(title, draw, alt, size=(4.4, 3.9)))
    return found


def _correlation(a: np.ndarray, b: np.ndarray) -> str:
    if len(a) < 2 or not (np.ptp(a) and np.ptp(b)):
        return "unknown"
    return f"{np.corrcoef(a, b)[0, 1]:.3f}"


def attack_drawing(audit: Mapping[str, Any]) -> Drawing:
    """The attacks' ROC curves, which no attack leaves the diagonal of where nothing leaks."""
    attacks = audit["attacks"]

    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        axes.plot([0, 1], [0, 1], color=colours["soft"], linewidth=1, linestyle=(0, (5, 4)))
        for i, (name, found) in enumerate(attacks.items()):
            label = f"{name.replace('_', ' ')} ({found['auc']['value']:.3f})"
            colour = colours[_CURVES[i % len(_CURVES)]]
            axes.plot(*found["roc"], color=colour, linewidth=1.8, label=label)
        axes.set_xlabel("false positives", color=colours["soft"])
        axes.set_ylabel("members found", color=colours["soft"])
        axes.set_aspect("equal")
        legend(axes, colours, loc="lower right", title="")

    told = "; ".join(
        f"by {name.replace('_', ' ')} {found['auc']['value']:.3f} ({found['auc']['low']:.3f} to "
        f"{found['auc']['high']:.3f})"
        for name, found in attacks.items()
    )
    alt = f"Members found against false positives; area under the curve of the attack {told}."
    return drawing("Who was in it? Each attack's ROC curve", draw, alt, size=(4.6, 4.4))
