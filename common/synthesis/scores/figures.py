"""The figures of a synthetic cohort: what each is called, and which way is better."""

from dataclasses import dataclass
from typing import Literal

from common.synthesis.scores.prediction import MODELS

Better = Literal["higher", "lower", "1", "0.5"]
_MODELS = {"logistic": "logistic regression", "forest": "random forest"}


@dataclass(frozen=True)
class Figure:
    """A figure's words.

    Parameters
    ----------
    title
        For a table's row.
    better
        Whether higher or lower is better, or which value is.
    group
        Heading in a table.
    """

    title: str
    better: Better
    group: str


PREDICTS, ALIKE, GENES = (
    "Does a classifier learn from it?",
    "Does it look like the real cohort?",
    "Are the same genes found?",
)
FIGURES: dict[str, Figure] = {
    f"{model}_{key}": Figure(f"{title}, {_MODELS[model]}", "higher", PREDICTS)
    for model in MODELS
    for key, title in (
        ("accuracy", "Accuracy"),
        ("macro_f1", "Macro-F1"),
        ("macro_aupr", "Macro-AUPR"),
    )
} | {
    "wasserstein": Figure("Wasserstein distance, mean over genes", "lower", ALIKE),
    "kolmogorov_smirnov": Figure("Kolmogorov-Smirnov distance, mean over genes", "lower", ALIKE),
    "zero_rate": Figure("Difference in the share of zeros", "lower", ALIKE),
    "correlation_mae": Figure("Error of gene correlations (MAE)", "lower", ALIKE),
    "mmd2": Figure("Maximum mean discrepancy, squared", "lower", ALIKE),
    "lisi": Figure("Real and synthetic among each other (LISI)", "higher", ALIKE),
    "auc_logistic": Figure("Told from real by logistic regression (AUC)", "0.5", ALIKE),
    "auc_forest": Figure("Told from real by a random forest (AUC)", "0.5", ALIKE),
    "de_tpr": Figure("Differential genes found (TPR)", "higher", GENES),
    "de_fpr": Figure("Other genes called (FPR)", "lower", GENES),
    "de_direction": Figure("Differential genes with the right sign", "higher", GENES),
    "lfc_slope": Figure("Slope of log fold changes", "1", GENES),
}
