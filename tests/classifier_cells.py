"""Labelled cells of a few types and small classifiers, for the tests of the classifiers."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from common.data.matrix import ExpressionMatrix
from common.models.classifiers.build import build_classifier, shape_of
from common.models.classifiers.classifier import Classifier
from common.models.classifiers.registry import CLASSIFIERS
from common.panel import Scaling

N_GENES, N_CLASSES = 20, 4
SMALL = {
    "logistic": {},
    "svm": {},
    "actinn": {"hidden": (9, 7, 5)},
    "scdlc": {"n_selected": 6, "dense": 5, "units": 4},
    "sccdcg": {"hidden": 9, "latent": 4},
    "scsmd": {"hidden": 12, "latent": 5},
    # Fewer tokens than most cells have genes.
    "transformer": {"width": 8, "n_heads": 2, "feed_forward": 11, "max_tokens": 9},
}
FORMS = [(name, form) for name in SMALL for form in CLASSIFIERS.get(name).forms]


def labelled_cells(
    n_cells: int = 90, n_genes: int = N_GENES, n_classes: int = N_CLASSES, seed: int = 0
) -> tuple[ExpressionMatrix, np.ndarray]:
    """log1p expression of cells of unequally frequent, overlapping types, and their classes."""
    rng = np.random.default_rng(seed)
    share = np.arange(n_classes, 0, -1.0)
    # Every class is there.
    y = np.r_[
        np.arange(n_classes), rng.choice(n_classes, n_cells - n_classes, p=share / share.sum())
    ]
    rate = np.exp(np.random.default_rng(99).normal(0.3, 0.6, (n_classes, n_genes)))[y]
    log = np.log1p(rng.poisson(rate * rng.gamma(4, 0.25, (n_cells, 1)))).astype(np.float32)
    sd = log.std(axis=0, ddof=1)
    scaling = Scaling(log.mean(axis=0), np.where(sd > 0, sd, 1).astype(np.float32))
    return ExpressionMatrix(sparse.csr_matrix(log), scaling), y


def small_classifier(name: str, form: str = "published", seed: int = 0, **shape) -> Classifier:
    """A narrow classifier of a form, with its genes selected and their moments known."""
    narrow = replace(shape_of(name, form), **(SMALL[name] | shape))
    model = build_classifier(name, narrow, N_GENES, N_CLASSES, seed)
    if hasattr(model, "selected"):
        model.select(np.array([7, 3, 11, 0, 19, 5]))
    scaling = labelled_cells()[0].scaling
    model.take_moments(scaling.mean, scaling.sd)
    return model
