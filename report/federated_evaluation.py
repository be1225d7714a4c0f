"""What a federated evaluation says, in sentences and as rows of a table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.federated_evaluation.views import UNCORRECTED

FILE = "federated_evaluation.json"
SPACES = {
    "expression": "In principal components of expression",
    "latent": "As the model's own encoder sees the cells",
}


def federated_evaluation(folder: Path) -> dict[str, Any] | None:
    """What a run folder holds; None where the run was not asked for one."""
    try:
        return json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Row:
    """A figure of one space before and after; ``values`` by version."""

    title: str
    better: str
    meaning: str
    values: Mapping[str, float | None]


def rows(result: Mapping[str, Any]) -> dict[str, list[Row]]:
    """The table, by a heading for each space."""
    return {
        SPACES[space]: [
            Row(
                **figure,
                values={version: figures[name] for version, figures in by_version.items()},
            )
            for name, figure in result["figures"].items()
        ]
        for space, by_version in result["overall"].items()
    }


def summary(result: Mapping[str, Any]) -> list[str]:
    """A sentence for each corrected version and one of the model; why not, if there is none."""
    if not result["evaluated"]:
        return [f"not evaluated: {result['reason']}"]
    figures = result["overall"]["expression"]
    before, said = figures[UNCORRECTED], []
    for version in result["versions"]:
        if version == UNCORRECTED:
            continue
        one = result["scores"][version]
        if one["reason"]:
            said.append(f"{version}: {one['reason']}")
            continue
        after = figures[version]
        said.append(
            f"{version}: variance between batches of a type {_change(before, after, 'batch_share')}"
            f", types apart within a batch {_change(before, after, 'type_separation')}"
        )
    model = result["reconstruction"]
    return [
        *said,
        f"the model reconstructs {_number(model['reconstruction'])} of the variance of expression,"
        f" means of batch and type {_number(model['means_reconstruction'])}",
    ]


def _change(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> str:
    return f"{_number(before[name])} → {_number(after[name])}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
