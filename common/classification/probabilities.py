"""A classifier's logits as probabilities, its answers, and numbers whose sums are exact."""

import numpy as np

from common.errors import UpdateError

# Instead of a class: the model is not sure enough to answer.
UNANSWERED = -1
_FRACTION_BITS = 20


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """log probabilities, nats, float64 (n_cells, n_classes), of logits over a temperature.

    Raises
    ------
    UpdateError
        A logit is not finite.
    """
    require_finite(logits)
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities, float64 (n_cells, n_classes); raises as :func:`log_softmax`."""
    return np.exp(log_softmax(logits, temperature))


def answers(probabilities: np.ndarray, threshold: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The class of each cell, ``UNANSWERED`` below the threshold, and the confidence; (n_cells,).

    Parameters
    ----------
    probabilities
        (n_cells, n_classes). Of classes that tie the first is taken.
    threshold
        Smallest confidence, the highest probability, of an answer.

    Raises
    ------
    UpdateError
        A probability is not finite.
    """
    require_finite(probabilities)
    confidence = probabilities.max(axis=1).astype(np.float64)
    best = probabilities.argmax(axis=1)
    return np.where(confidence >= threshold, best, UNANSWERED), confidence


def exact(values: np.ndarray) -> np.ndarray:
    """Values as whole multiples of 2^-20, float64.

    Sums of them below 2^33 are exact in any order: those over sites are the pooled sum to the bit.
    """
    return np.rint(values * 2.0**_FRACTION_BITS) * 2.0**-_FRACTION_BITS


def require_finite(outputs: np.ndarray) -> None:
    """Refuse a model's outputs for cells, (n_cells, n_classes), that are not finite.

    Raises
    ------
    UpdateError
        It says for how many cells.
    """
    if not np.isfinite(outputs).all():
        raise UpdateError(
            "the classifier's outputs are not finite for some cells: lower learning-rate, or train "
            "from a checkpoint before it diverged"
        )
