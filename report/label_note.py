"""Where the labels that score a run are from, to be said beside the scores."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.data.labels import CURATED, PREDICTED


def labels_that_score(origin: np.ndarray, steers: np.ndarray) -> dict[str, int]:
    """Cells that are scored by type, by where their label is from.

    Parameters
    ----------
    origin
        (n_cells,), object: "curated", "predicted" or None.
    steers
        (n_cells,), bool: the label steered the correction.
    """
    predicted = origin == PREDICTED
    return {
        "curated": int((origin == CURATED).sum()),
        "predicted": int(predicted.sum()),
        "unsure": int((predicted & ~steers).sum()),
    }


def label_note(evaluation: Mapping[str, Any]) -> str:
    """A sentence on predicted labels among those that score; "" where there are none."""
    labels = evaluation.get("labels", {})
    n_predicted = labels.get("predicted", 0)
    if not n_predicted:
        return ""
    n_labels = n_predicted + labels["curated"]
    text = (
        f"{n_predicted:,} of the {n_labels:,} cell types that score are predicted, not curated: "
        "where the predictor is wrong the scores are too."
    )
    if labels["unsure"]:
        text += f" {labels['unsure']:,} of them were too unsure to steer the correction."
    return text
