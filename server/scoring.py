"""How good a trained classifier is: on validation cells, and once on test cells.

Neither is summed without all sites: beside the counts of classes, sums by class over the others
would show a lost site's cells. The run is done without a score.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from common.classification.figures import figures_of
from common.classification.threshold import Threshold
from common.classification.validation import validation_of
from common.classification.vocabulary import LabelVocabulary
from common.errors import SecureSumError, SyncytiumError
from common.models.state import State
from common.panel import Panel
from report.classification import FILE
from server.runs import RunFolder
from server.session import Session
from strategies.secure_sum import Summed

logger = logging.getLogger("syncytium.server")


@dataclass(frozen=True)
class Scoring:
    """The scores of one classifier.

    Parameters
    ----------
    session, folder
        Sum them, and receive them.
    panel, vocabulary
        Its genes and classes.
    asked, arrays
        What every sum is asked with, and its model, as a message has it.
    """

    session: Session
    folder: RunFolder
    panel: Panel
    vocabulary: LabelVocabulary
    asked: Mapping[str, Any]
    arrays: Mapping[str, State]

    def validate(self) -> None:
        """Note how good it is on validation cells, and whether that is what the run sought."""
        checkpoint, target = self.folder.checkpoint, self.session.config.target_f1
        if not checkpoint.get("class_counts")["n_validation"]:
            return
        if (kept := checkpoint.get("validation")) is None:
            try:
                found = validation_of(self._sum("validation").values)
            except SyncytiumError as error:
                logger.warning("the classifier is not scored on validation cells: %s", error)
            else:
                kept = asdict(found) if found else None
                checkpoint.save("validation", kept)
        if kept:
            self.folder.note(validation=kept)
        if target and self.folder.entry("target_reached", None) is None:
            # The last round's model was validated by no round.
            met = bool(kept) and kept["macro_f1"] >= target
            self.folder.note(target_reached=self.folder.entry("n_rounds", 0) if met else None)

    def test(self, temperature: float, threshold: Threshold | None) -> None:
        """Score it on the test cells of all sites, if any were held out."""
        if not self.session.config.test_share:
            return
        value = threshold.value if threshold else 0.0
        try:
            summed = self._sum("held_out", temperature=temperature, threshold=value)
        except SyncytiumError as error:
            logger.warning("the classifier is not scored: %s", error)
            result: dict[str, Any] = {"evaluated": False, "reason": str(error)}
        else:
            result = _scores(summed.values, self.vocabulary) | {"n_sites": summed.n_sites}
            names = ("accuracy", "macro_f1", "weighted_f1", "expected_calibration_error")
            self.folder.note(test={name: result["figures"][name] for name in names})
        partial = self.folder.path / f".{FILE}.part"
        partial.write_text(json.dumps(result, indent=1, allow_nan=False))
        partial.replace(self.folder.path / FILE)

    def _sum(self, phase: str, **values: Any) -> Summed:
        if not self.session.complete():
            raise SecureSumError(
                "a site was lost; beside the counts of classes, sums over the others would show "
                "its cells"
            )
        asked = {**self.asked, **values}
        return self.session.sum(phase, values=asked, arrays=self.arrays, panel=self.panel)


def _scores(sums: dict[str, np.ndarray], vocabulary: LabelVocabulary) -> dict[str, Any]:
    """What ``classification.json`` holds, of :func:`common.classification.site_sums.site_sums`."""
    confusion, sure = (np.rint(sums[f"confusion{part}"]) for part in ("", "_sure"))
    return {
        "evaluated": True,
        "classes": list(vocabulary.classes),
        "figures": asdict(figures_of(confusion, sums["calibration"])),
        "with_unknown": asdict(figures_of(sure)),
        "confusion": confusion.astype(int).tolist(),
        "confusion_with_unknown": sure.astype(int).tolist(),
        "calibration": sums["calibration"].tolist(),
    }
