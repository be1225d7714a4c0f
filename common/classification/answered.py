"""A site's cells as a published classifier labels them: columns for obs, and counts.

Three columns say what a cell is. ``syncytium_cell_type`` is for further work: the name of a type,
missing where the classifier is not sure, and where it answers ``other``, which is no type but a
class of several rare ones; what reads it takes such cells as unlabelled. ``syncytium_answer`` is
for the eye: the same with ``unknown`` and ``other`` written out. ``syncytium_most_probable`` is the
class of highest probability of every cell, so that a threshold loses nothing.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from common.classification.ontology import Term
from common.classification.probabilities import UNANSWERED, answers
from common.classification.vocabulary import OTHER, UNKNOWN

CELL_TYPE, ANSWER, MOST_PROBABLE = (
    "syncytium_cell_type",
    "syncytium_answer",
    "syncytium_most_probable",
)
CONFIDENCE = "syncytium_confidence"
TERM = "syncytium_cell_type_ontology_term_id"
# In obsm, (n_cells, n_classes), and in uns.
PROBABILITIES, ABOUT = "syncytium_probabilities", "syncytium_classifier"
COLUMNS = (CELL_TYPE, ANSWER, MOST_PROBABLE, CONFIDENCE, TERM)


@dataclass(frozen=True)
class Answered:
    """What a classifier says of cells.

    Parameters
    ----------
    classes
        (n_classes,) names.
    probabilities
        float64 (n_cells, n_classes).
    threshold
        Smallest confidence, the highest probability, of an answer.
    terms
        Cell Ontology terms by class; may be empty.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    threshold: float
    terms: dict[str, Term]

    @property
    def codes(self) -> np.ndarray:
        """(n_cells,) answers: a class or ``UNANSWERED``."""
        return self._answers[0]

    @property
    def confidence(self) -> np.ndarray:
        """(n_cells,) the highest probability."""
        return self._answers[1]

    @cached_property
    def most_probable(self) -> np.ndarray:
        """(n_cells,) class of the highest probability."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def _answers(self) -> tuple[np.ndarray, np.ndarray]:
        return answers(self.probabilities, self.threshold)

    def columns(self) -> dict[str, Any]:
        """What is written into obs, (n_cells,) each, by column."""
        from pandas import Categorical

        codes = self.codes
        types = [name for name in self.classes if name != OTHER]
        # The last entry stands for UNANSWERED.
        named = np.array([*(n if n != OTHER else None for n in self.classes), None], dtype=object)
        shown = np.array([*self.classes, UNKNOWN], dtype=object)
        columns = {
            CELL_TYPE: Categorical(named[codes], types),
            ANSWER: Categorical(shown[codes], shown),
            MOST_PROBABLE: Categorical.from_codes(self.most_probable, self.classes),
            CONFIDENCE: self.confidence.astype(np.float32),
        }
        if self.terms:
            ids = [self.terms[n].id if n in self.terms else None for n in self.classes]
            of_cells = np.array([*ids, None], dtype=object)[codes]
            columns[TERM] = Categorical(of_cells, sorted({i for i in ids if i is not None}))
        return columns

    def counts(self) -> dict[str, int]:
        """Cells by answer, those that occur, ``unknown`` last."""
        found = {name: int((self.codes == code).sum()) for code, name in enumerate(self.classes)}
        found[UNKNOWN] = int((self.codes == UNANSWERED).sum())
        return {name: n for name, n in found.items() if n}
