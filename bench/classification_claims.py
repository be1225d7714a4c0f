"""What the benchmark of classifiers claims, in words, and whether its figures bear it out."""

from typing import Any

# How far joint training may stay behind training on pooled cells: accuracy, macro-F1.
MARGINS = {"transformer": (0.03, 0.03)}
MARGIN = (0.01, 0.02)
SKEWED_MARGIN = (0.03, 0.03)
# From here on a site alone leaves nothing to gain.
GOOD_ALONE = 0.98
# Aims, by setting, data set and classifier ("" for the best of all): accuracy, macro-F1.
AIMS = {
    ("as-is", "pbmc_5study", "actinn"): (0.935, 0.78),
    ("as-is", "cellline_mixology_5batch", "actinn"): (0.99, 0.0),
    ("inter", "pbmc_5study", "actinn"): (0.885, 0.725),
    ("inter", "pbmc_5study", ""): (0.89, 0.75),
}

Means = dict[str, dict[str, dict[str, float]]]


def claims_of(setting: str, means: Means) -> dict[str, bool]:
    """Every claim that the means allow.

    Parameters
    ----------
    means
        By "DATASET[, CASE], MODEL" and way (federated, pooled, local): the figures.
    """
    claims: dict[str, bool] = {}
    for group, ways in means.items():
        model = group.rpartition(", ")[2]
        joint = ways.get("federated")
        by_strategy = " by " in model
        if joint and (pooled := ways.get("pooled")) and setting == "intra" and not by_strategy:
            skewed = "alpha" in group
            margins = SKEWED_MARGIN if skewed else MARGINS.get(model, MARGIN)
            claims |= _near(group, joint, pooled, margins)
        if joint and (alone := ways.get("local")) and not by_strategy:
            claims |= _ahead(group, joint, alone)
    claims |= _one_strategy(means)
    for (of, dataset, model), aims in AIMS.items():
        if of == setting:
            claims |= _reached(dataset, model, aims, means)
    return claims


def _shown(figures: dict[str, Any]) -> str:
    return f"{figures['accuracy']:.3f}/{figures['macro_f1']:.3f}"


def _near(group: str, joint: dict, pooled: dict, margins: tuple[float, float]) -> dict[str, bool]:
    text = f"{group}: federated {_shown(joint)}, pooled {_shown(pooled)}, lower by at most "
    near = [
        pooled[key] - joint[key] <= margin
        for key, margin in zip(("accuracy", "macro_f1"), margins, strict=True)
    ]
    return {f"{text}{margins[0]}/{margins[1]}": all(near)}


def _ahead(group: str, joint: dict, alone: dict) -> dict[str, bool]:
    text = f"{group}: federated {_shown(joint)}, a site alone {_shown(alone)}: "
    if alone["accuracy"] < GOOD_ALONE:
        return {f"{text}ahead": joint["accuracy"] > alone["accuracy"]}
    return {f"{text}not behind": joint["accuracy"] >= alone["accuracy"]}


def _one_strategy(means: Means) -> dict[str, bool]:
    """Of a model that several strategies train: one of them is near the best pooled training."""
    rivals: dict[str, Means] = {}
    for group, ways in means.items():
        model, by, _ = group.partition(" by ")
        if by and {"federated", "pooled"} <= ways.keys():
            rivals.setdefault(model, {})[group] = ways
    claims = {}
    for members in rivals.values():
        pooled = max((ways["pooled"] for ways in members.values()), key=_worth)
        best = max(members, key=lambda group: _worth(members[group]["federated"]))
        claims |= _near(f"best is {best}", members[best]["federated"], pooled, SKEWED_MARGIN)
    return claims


def _worth(figures: dict[str, Any]) -> float:
    return figures["accuracy"] + figures["macro_f1"]


def _reached(dataset: str, model: str, aims: tuple[float, float], means: Means) -> dict[str, bool]:
    of = {
        group: ways["federated"]
        for group, ways in means.items()
        if group.split(", ")[0] == dataset
        and "federated" in ways
        and (not model or group.endswith(f", {model}"))
    }
    if not of:
        return {}
    best = max(
        of, key=lambda group: min(of[group]["accuracy"] - aims[0], of[group]["macro_f1"] - aims[1])
    )
    good = of[best]["accuracy"] >= aims[0] and of[best]["macro_f1"] >= aims[1]
    return {f"{best}: federated {_shown(of[best])}, aims {aims[0]}/{aims[1]}": good}
