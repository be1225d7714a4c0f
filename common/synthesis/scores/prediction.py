"""What a classifier learns from one cohort for another: TSTR and TRTR."""

import warnings
from typing import Literal

import numpy as np

Model = Literal["logistic", "forest"]
MODELS: tuple[Model, ...] = ("logistic", "forest")
FIGURES = ("accuracy", "macro_f1", "macro_aupr")
SETTINGS = {
    "logistic": "logistic regression (scikit-learn, L2, C = 1, lbfgs) on genes centred by the "
    "cohort that it is trained on, all in one unit: that of log expression",
    "forest": "random forest (scikit-learn, 100 trees)",
}


def prediction(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    model: Model = "logistic",
    seed: int = 0,
) -> dict[str, float]:
    """How well a classifier that ``train`` trained knows the classes of ``test``.

    Trained on synthetic and tested on real records: TSTR; trained on real ones: TRTR.

    Parameters
    ----------
    train, test
        Values (n, n_genes) and index of class (n,) each.
    seed
        Of the forest.

    Returns
    -------
    ``accuracy``; ``macro_f1`` and ``macro_aupr`` (average precision of each class against the
    rest), means over the classes that ``test`` has. A class that ``train`` lacks has F1 0 and the
    average precision of no knowledge, its share.

    References
    ----------
    Esteban, Hyland, Raetsch 2017 (TSTR), arXiv:1706.02633.
    """
    from sklearn.metrics import average_precision_score, f1_score

    (x, y), (test_x, test_y) = train, test
    known, probability = _probabilities(x, y, test_x, model, seed)
    said = known[probability.argmax(axis=1)]
    present = np.unique(test_y)
    places = {int(name): at for at, name in enumerate(known)}
    nothing = np.zeros(len(test_y))
    precisions = [
        average_precision_score(test_y == c, probability[:, places[c]] if c in places else nothing)
        for c in present.tolist()
    ]
    return {
        "accuracy": float((said == test_y).mean()),
        "macro_f1": float(
            f1_score(test_y, said, labels=present, average="macro", zero_division=0.0)
        ),
        "macro_aupr": float(np.mean(precisions)),
    }


def _probabilities(
    x: np.ndarray, y: np.ndarray, test_x: np.ndarray, model: Model, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    known = np.unique(y)
    if len(known) == 1:
        return known, np.ones((len(test_x), 1))
    fitted = classifier(model, seed)
    with warnings.catch_warnings():
        # Classes that a plane parts have no optimum; where it stops is as good.
        from sklearn.exceptions import ConvergenceWarning

        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(x, y)
    return fitted.classes_, fitted.predict_proba(test_x)


def classifier(model: Model, seed: int):
    """The classifier of that name, as scikit-learn has it, not fitted."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if model == "logistic":
        # Not divided by each gene's spread, which would make as much of genes that hardly vary.
        return make_pipeline(StandardScaler(with_std=False), LogisticRegression(max_iter=1000))
    return RandomForestClassifier(random_state=seed)
