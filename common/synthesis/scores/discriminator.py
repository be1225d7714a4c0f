"""Whether a classifier can tell synthetic records from real ones."""

import warnings

import numpy as np

from common.synthesis.scores.prediction import Model, classifier
from common.synthesis.scores.space import at_most

FOLDS = 5


def discriminator_auc(
    real: np.ndarray, other: np.ndarray, *, model: Model = "forest", seed: int = 0
) -> float:
    """Area under the ROC curve of "real or not", cross-validated: 0.5 where nobody can tell.

    Parameters
    ----------
    real, other
        (n, n_genes) and (m, n_genes), five records at least each; of the larger cohort as many as
        of the smaller are taken.
    seed
        Of these, of the folds and of the forest.

    References
    ----------
    Lopez-Paz, Oquab 2017 (classifier two-sample tests), arXiv:1610.06545.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    n = min(len(real), len(other))
    x = np.concatenate([at_most(real, n, seed), at_most(other, n, seed)])
    is_real = np.repeat([1, 0], n)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        said = cross_val_predict(
            classifier(model, seed), x, is_real, cv=folds, method="predict_proba"
        )
    return float(roc_auc_score(is_real, said[:, 1]))
