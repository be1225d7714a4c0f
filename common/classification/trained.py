"""A trained classifier of any kind: its logits and probabilities of cells."""

from dataclasses import dataclass

import numpy as np
import torch

from common.boosting.forest import Forest
from common.boosting.forest_state import forest_of
from common.classification.plan import ClassifierPlan
from common.classification.probabilities import require_finite, softmax
from common.classification.training import class_logits
from common.data.matrix import ExpressionMatrix
from common.errors import InputError
from common.models.classifiers.build import restore_classifier
from common.models.classifiers.classifier import Classifier
from common.models.state import State


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier with its values.

    Parameters
    ----------
    plan
        What it is.
    n_classes
        Of the vocabulary.
    state
        A network's values, or a forest's arrays.
    temperature
        Logits are divided by it; see ``common/classification/temperature.py``.
    """

    plan: ClassifierPlan
    n_classes: int
    state: State
    temperature: float = 1.0

    def restored(self, n_genes: int) -> Classifier | Forest:
        """The network with its values, or the forest.

        Raises
        ------
        InputError, RuntimeError
            The values do not fit the plan.
        """
        if self.plan.fitted != "trees":
            return restore_classifier(
                self.plan.name, self.plan.shape, n_genes, self.n_classes, self.state
            )
        forest = forest_of(self.state)
        if (forest.n_genes, forest.n_classes) != (n_genes, self.n_classes):
            raise InputError(
                f"a forest of {forest.n_genes} genes and {forest.n_classes} classes is none of "
                f"{n_genes} and {self.n_classes}"
            )
        return forest

    def logits(
        self, matrix: ExpressionMatrix, rows: np.ndarray, device: torch.device
    ) -> np.ndarray:
        """Logits of some cells, or their margins, (n_rows, n_classes).

        Raises
        ------
        UpdateError
            One is not finite.
        DeviceError
            The device ran out of memory.
        """
        model = self.restored(matrix.shape[1])
        if isinstance(model, Forest):
            logits = model.margins(matrix.sparse[rows]).T
        else:
            logits = class_logits(model, matrix, rows, self.plan.training, device)
        require_finite(logits)
        return logits

    def probabilities(
        self, matrix: ExpressionMatrix, rows: np.ndarray, device: torch.device
    ) -> np.ndarray:
        """Of every class, float64 (n_rows, n_classes); raises as :meth:`logits`."""
        return softmax(self.logits(matrix, rows, device), self.temperature)
