"""As which type each cell is shifted, where that label is from, and why a cell is not shifted."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from common.data.labels import ORIGINS, PREDICTED, CellLabels
from common.data.obs import labelled
from common.nearest_labels import NearestLabels

NEAREST = "nearest"

NO_LABEL = "no label"
LOW_CONFIDENCE = "low confidence"
NONE_NEAR = "no labelled cell in the batch"
NO_REFERENCE = "type without a reference"
REASONS = (NO_LABEL, LOW_CONFIDENCE, NONE_NEAR, NO_REFERENCE)


@dataclass(frozen=True)
class ShiftLabels:
    """The labels by which cells are shifted.

    Parameters
    ----------
    own
        What the site's file says.
    nearest
        Labels of the cells whose own does not steer; None where these are left.
    """

    own: CellLabels
    nearest: NearestLabels | None = None

    @cached_property
    def cell_types(self) -> np.ndarray:
        """The type as which each cell is shifted, object (n_cells,), None for none."""
        if self.nearest is None:
            return self.own.steering
        return np.where(self.own.steers, self.own.stated, self.nearest.cell_types)

    @cached_property
    def origin(self) -> np.ndarray:
        """Where the label is from, object (n_cells,): curated, predicted, nearest; None for none.

        That of a label which does not steer is told too, where no other took its place.
        """
        if self.nearest is None:
            return self.own.origin
        return np.where(labelled(self.nearest.cell_types), NEAREST, self.own.origin)

    def reasons(self, shifted: np.ndarray) -> np.ndarray:
        """Why cells are not shifted, object (n_cells,), None where they are."""
        typed = labelled(self.cell_types)
        without = np.where(self.own.unlabelled, NO_LABEL, LOW_CONFIDENCE)
        if self.nearest is not None:
            without = np.full(len(typed), NONE_NEAR)
        return np.where(shifted, None, np.where(typed, NO_REFERENCE, without))

    def columns(self, shifted: np.ndarray) -> dict[str, Any]:
        """What is written into obs of the corrected file, by column.

        Parameters
        ----------
        shifted
            (n_cells,), bool.
        """
        from pandas import Categorical

        agreement = np.full(len(shifted), np.nan, dtype=np.float32)
        if self.nearest is not None:
            agreement = self.nearest.agreement
        types = sorted({t for t in self.cell_types if t is not None})
        return {
            "syncytium_shifted": shifted,
            "syncytium_not_shifted": Categorical(self.reasons(shifted), REASONS),
            "syncytium_label": Categorical(self.cell_types, types),
            "syncytium_label_origin": Categorical(self.origin, (*ORIGINS, NEAREST)),
            "syncytium_label_confidence": self.own.confidence.astype(np.float32),
            "syncytium_neighbours_agree": agreement,
        }

    def counts(self, shifted: np.ndarray) -> dict[str, int]:
        """Cells, by the names of the fields of the phase ``correct`` in common/wire.py."""
        found = {
            "n_cells": np.ones(len(shifted), dtype=bool),
            "n_shifted": shifted,
            "n_predicted": shifted & (self.origin == PREDICTED),
            "n_nearest": shifted & (self.origin == NEAREST),
            "n_unlabelled": self.own.unlabelled,
            "n_unsure": self.own.unsure,
        }
        return {name: int(cells.sum()) for name, cells in found.items()}
