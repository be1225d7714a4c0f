"""The temperature that makes a classifier as confident as it is right, from summed losses.

p = softmax(f / T). The loss of validation cells at each of some public temperatures is summed over
sites, and the least taken, so that the temperature of all sites is the pooled one exactly.

References
----------
Guo et al. 2017, arXiv:1706.04599, equation 9.
"""

import numpy as np

from common.classification.probabilities import exact, log_softmax

# From 1/8 to 16 in steps of 2^(1/8), 9 %; 1 is among them.
TEMPERATURES = 2.0 ** (np.arange(-24, 33) / 8)


def temperature_losses(
    logits: np.ndarray, truth: np.ndarray, temperatures: np.ndarray = TEMPERATURES
) -> np.ndarray:
    """What a site adds: cross entropy of its cells at each temperature, nats, (n_temperatures,).

    Parameters
    ----------
    logits
        (n_cells, n_classes) of validation cells.
    truth
        (n_cells,) classes; cells without one are not summed.

    Raises
    ------
    UpdateError
        A logit is not finite.
    """
    classed = np.flatnonzero(truth >= 0)
    logits, truth = logits[classed], truth[classed]
    rows = np.arange(len(truth))
    return np.array([exact(-log_softmax(logits, t)[rows, truth]).sum() for t in temperatures])


def best_temperature(losses: np.ndarray, temperatures: np.ndarray = TEMPERATURES) -> float:
    """The temperature of least loss; of several, as without any cells, the one nearest to 1.

    Parameters
    ----------
    losses
        Of :func:`temperature_losses`, summed over sites.
    """
    losses = np.asarray(losses)
    least = np.flatnonzero(losses == losses.min())
    return float(temperatures[least[np.abs(np.log(temperatures[least])).argmin()]])
