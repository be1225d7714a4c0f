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
    below_most = _below_most(logits, temperature)
    return below_most - np.log(_over_classes(np.exp(below_most)))


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities, float64 (n_cells, n_classes); raises as :func:`log_softmax`.

    A cell's are the same to the bit whichever cells stand beside it.
    """
    out = _below_most(logits, temperature)
    np.exp(out, out=out)
    out /= _over_classes(out)
    return out


def _below_most(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Logits over the temperature, less the cell's highest: a copy, double, laid out alike."""
    require_finite(logits)
    out = np.array(logits, dtype=np.float64)
    out /= temperature
    out -= out.max(axis=1, keepdims=True)
    return out


def _over_classes(values: np.ndarray) -> np.ndarray:
    """Sums of (n_cells, n_classes) over classes, (n_cells, 1)."""
    # Class by class: the order of numpy's own sum changes with the array's layout.
    total = np.zeros(len(values))
    for of_class in values.T:
        total += of_class
    return total[:, None]


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
