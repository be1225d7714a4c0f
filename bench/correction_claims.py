"""What the correction benchmark claims of its figures, and whether each claim holds."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

# Scores by seed: figures[block][method][metric] has a value for each seed, None where undefined.
Figures = Mapping[str, Mapping[str, Mapping[str, Sequence[float | None]]]]
Claims = dict[str, bool]

WORSE_BY = 0.01
FAITHFUL = 0.03
# Of the neighbourhood within batch and type; a matrix of label means keeps none of it.
KEEPS_SIGNAL = 0.05
OUTPUTS = ("decoded", "residual")

# The default preset's aims: the best of FedscGen, scGen and no correction on both sides at once.
AIMS = {
    "pbmc_5study": {"knn_purity": 0.87, "entropy_of_batch_mixing": 0.64, "nmi_best": 0.93},
    "pancreas_human_3study_mini": {
        "knn_purity": 0.885,
        "entropy_of_batch_mixing": 0.53,
        "nmi_best": 0.90,
    },
    "cellline_mixology_5batch": {
        "knn_purity": 1.0,
        "entropy_of_batch_mixing": 0.745,
        "nmi_best": 1.0,
    },
}

# FedscGen's published code (b266f74, scarches 0.5.9) on the same cells: 8 rounds x 2 epochs, a
# client per batch; 3 seeds on the two small sets, one on pbmc_5study.
PUBLISHED = {
    "pancreas_human_3study_mini": {
        "entropy_of_batch_mixing": 0.536,
        "knn_purity": 0.751,
        "silhouette_batch": 0.889,
        "silhouette_label": 0.606,
        "nmi_best": 0.81,
        "ari_best": 0.77,
    },
    "cellline_mixology_5batch": {
        "entropy_of_batch_mixing": 0.752,
        "knn_purity": 1.0,
        "silhouette_batch": 0.926,
        "silhouette_label": 0.767,
        "nmi_best": 1.0,
        "ari_best": 1.0,
    },
    "pbmc_5study": {
        "entropy_of_batch_mixing": 0.644,
        "knn_purity": 0.820,
        "silhouette_batch": 0.874,
        "silhouette_label": 0.645,
        "nmi_best": 0.85,
        "ari_best": 0.77,
    },
}


def paired(
    ours: Sequence[float], theirs: Sequence[float], better: Literal["higher", "lower"] = "higher"
) -> dict[str, float | bool]:
    """How much better one side is over paired seeds, and whether it is not worse.

    Not worse: by no more than max(0.01, two standard errors of the paired differences).
    """
    sign = 1 if better == "higher" else -1
    gains = [sign * (a - b) for a, b in zip(ours, theirs, strict=True)]
    gain = statistics.mean(gains)
    # One seed has no spread: the plain margin.
    two_se = 2 * statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    not_worse = gain >= -max(WORSE_BY, two_se) - 1e-9
    return {"gain": gain, "two_standard_errors": two_se, "not_worse": not_worse}


def claims_of(dataset: str, figures: Figures, better: Mapping[str, str]) -> Claims:
    """Every claim on one dataset that its figures allow, in words, and whether it holds.

    Parameters
    ----------
    better
        Of each metric, ``"higher"`` or ``"lower"``.
    """
    labelled, held_out = figures.get("labelled", {}), figures.get("held_out", {})
    return {
        **_not_worse_than_pooled(dataset, labelled, better),
        **_aims(dataset, labelled),
        **_faithful(dataset, labelled),
        **_held_out(dataset, held_out),
    }


def _not_worse_than_pooled(dataset: str, labelled, better: Mapping[str, str]) -> Claims:
    claims = {}
    for output in OUTPUTS:
        ours, pooled = labelled.get(f"ours {output}"), labelled.get(f"pooled {output}")
        if not ours or not pooled:
            continue
        for metric, values in ours.items():
            if None in values or None in pooled[metric]:
                continue
            found = paired(values, pooled[metric], better[metric])
            claim = (
                f"{dataset}, {output}, {metric}: not worse than pooled "
                f"({_mean(values):.3f} against {_mean(pooled[metric]):.3f}, better by "
                f"{found['gain']:+.3f}, two standard errors {found['two_standard_errors']:.3f} "
                f"over {len(values)} seeds)"
            )
            claims[claim] = bool(found["not_worse"])
    return claims


def _aims(dataset: str, labelled) -> Claims:
    ours = labelled.get("ours decoded")
    aims = AIMS.get(dataset, {}) if ours else {}
    return {
        f"{dataset}, decoded, {metric}: {_mean(ours[metric]):.3f}, at least {least}": round(
            _mean(ours[metric]), 3
        )
        >= least
        for metric, least in aims.items()
    }


def _faithful(dataset: str, labelled) -> Claims:
    ours = labelled.get("fedscgen")
    published = PUBLISHED.get(dataset, {}) if ours else {}
    claims = {}
    for metric, theirs in published.items():
        difference = round(_mean(ours[metric]) - theirs, 3)
        claim = (
            f"{dataset}, preset fedscgen, {metric}: {_mean(ours[metric]):.3f}, its published code "
            f"{theirs:.3f}, difference {difference:+.3f}"
        )
        claims[claim] = abs(difference) <= FAITHFUL
    return claims


def _held_out(dataset: str, held_out) -> Claims:
    before = held_out.get("uncorrected")
    if not before:
        return {}
    claims = {}
    for output in OUTPUTS:
        if ours := held_out.get(f"ours {output}"):
            claims[_told(f"{dataset}, {output}, held-out labels: passes", ours, before)] = passes(
                ours, before
            )
    if control := held_out.get("collapse"):
        claim = _told(f"{dataset}, held-out labels: collapse loses", control, before)
        claims[claim] = not passes(control, before)
    return claims


def passes(method: Mapping[str, Sequence[float]], before: Mapping[str, Sequence[float]]) -> bool:
    """The test of held-out labels, means over seeds on the same cells.

    Purity not below uncorrected, and more than chance of each cell's own neighbours kept. The
    second part is needed: where a cell's labelled neighbours guess its type well, writing labels
    into the matrix gives a higher purity than any cell had.
    """
    pure = round(_mean(method["purity"]), 3) >= round(_mean(before["purity"]), 3)
    kept = _known(method["own_neighbours"])
    return pure and (not kept or statistics.mean(kept) > KEEPS_SIGNAL)


def _told(claim: str, method, before) -> str:
    kept = _known(method["own_neighbours"])
    own = f"{statistics.mean(kept):.3f}" if kept else "not measured, too few cells"
    return (
        f"{claim} (purity {_mean(method['purity']):.3f}, uncorrected "
        f"{_mean(before['purity']):.3f}; own neighbours kept {own}, more than {KEEPS_SIGNAL})"
    )


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float | None]) -> float:
    known = _known(values)
    return statistics.mean(known) if known else math.nan
