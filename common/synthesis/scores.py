"""How useful synthetic records are in place of real ones: three figures."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Transfer:
    """Of a classifier that was trained on one set of records and tested on another.

    Parameters
    ----------
    accuracy
        Share of records whose class is told.
    macro_f1
        Mean over classes of F1, rare ones as frequent ones.
    """

    accuracy: float
    macro_f1: float


def tstr(
    values: np.ndarray, classes: np.ndarray, test_values: np.ndarray, test_classes: np.ndarray
) -> Transfer:
    """Train on synthetic records, test on real ones: logistic regression on standardised genes.

    Parameters
    ----------
    values, classes
        (n, n_genes) and (n,): trained on; they alone say how genes are standardised.
    test_values, test_classes
        Real records that nothing was fitted to.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # As a pipeline, so that the test records have no part in the scaling.
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    told = model.fit(values, classes).predict(test_values)
    macro = f1_score(test_classes, told, average="macro", zero_division=0)
    return Transfer(float(accuracy_score(test_classes, told)), float(macro))


def mean_wasserstein(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Mean over genes of the 1-Wasserstein distance, in the values' unit."""
    from scipy.stats import wasserstein_distance

    genes = range(real.shape[1])
    return float(np.mean([wasserstein_distance(real[:, j], synthetic[:, j]) for j in genes]))


def correlation_mae(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Mean over pairs of genes of how far their Pearson correlations differ.

    A gene that is constant in either is left out: it has no correlation.
    """
    varies = (real.std(axis=0) > 0) & (synthetic.std(axis=0) > 0)
    pairs = np.triu_indices(int(varies.sum()), 1)
    differ = np.corrcoef(real[:, varies].T) - np.corrcoef(synthetic[:, varies].T)
    return float(np.abs(differ[pairs]).mean())
