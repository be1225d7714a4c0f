"""The scores of a classifier on its test cells, as a run folder holds them."""

import json
from pathlib import Path
from typing import Any

FILE = "classification.json"


def classification(folder: Path) -> dict[str, Any] | None:
    """What ``classification.json`` of a run folder says; None without one."""
    try:
        return json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return None


def summary(scores: dict[str, Any]) -> list[str]:
    """A sentence or two on how good the classifier is; why that is not known, if it is not."""
    if not scores["evaluated"]:
        return [f"the classifier was not scored: {scores['reason']}"]
    figures, sure = scores["figures"], scores["with_unknown"]
    if not figures["n_cells"]:
        return ["no test cell has a class: the classifier was not scored"]
    lines = [
        f"{figures['n_cells']:,} test cells: accuracy {figures['accuracy']:.3f}, macro-F1 "
        f"{figures['macro_f1']:.3f}, weighted F1 {figures['weighted_f1']:.3f}, calibration error "
        f"{figures['expected_calibration_error']:.3f}"
    ]
    if sure["coverage"] < 1 and sure["accuracy_answered"] is not None:
        lines.append(
            f"{1 - sure['coverage']:.1%} of them are answered unknown; of the others "
            f"{sure['accuracy_answered']:.1%} rightly"
        )
    return lines
