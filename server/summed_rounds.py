"""What the rounds of a classifier have that is fitted by sums, without a strategy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.classification.plan import ClassifierPlan
from common.classification.validation import Validation
from common.panel import Panel
from server.checkpoint import Checkpoint
from server.runs import RunFolder
from server.session import Session


@dataclass
class SummedRounds:
    """The rounds of one classifier.

    Parameters
    ----------
    session, folder, checkpoint
        Run them, and receive a line and what is reached after each.
    plan
        What is fitted.
    panel, counts
        Its genes, and training cells of each class over all sites, (n_classes,).
    asked
        What every sum is asked with.
    """

    session: Session
    folder: RunFolder
    checkpoint: Checkpoint
    plan: ClassifierPlan
    panel: Panel
    counts: np.ndarray
    asked: Mapping[str, Any]

    def meets_target(self, validation: Validation | None) -> bool:
        """Whether a model is as good on validation cells as the run seeks one."""
        target = self.session.config.target_f1
        return bool(target and validation and validation.macro_f1 >= target)
