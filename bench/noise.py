"""How long exact noise takes a site, by the size of sigma.

`python -m bench.noise`.
"""

import time
from fractions import Fraction

from bench.report import keep
from common.privacy.discrete_gaussian import discrete_gaussian
from common.privacy.skellam import skellam

N_VALUES = 479_000  # the largest release that is planned: a covariance of 978 genes
SIGMAS = (0.5, 10, 117, 2.0**15, 2.0**20, 2.0**30)
LARGEST_SKELLAM = 2.0**14
REPEATS = 3


def least_seconds(draw, sigma: float) -> float:
    """Of several draws of one release."""
    took = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        draw(Fraction(sigma) ** 2, N_VALUES)
        took.append(time.perf_counter() - start)
    return min(took)


def main() -> None:
    figures = {
        "discrete_gaussian": {sigma: least_seconds(discrete_gaussian, sigma) for sigma in SIGMAS},
        "skellam": {s: least_seconds(skellam, s) for s in SIGMAS if s <= LARGEST_SKELLAM},
    }
    for name, seconds in figures.items():
        for sigma, took in seconds.items():
            print(f"{name}, sigma {sigma:g}: {1e6 * took / N_VALUES:.2f} microseconds a value")
    keep("noise", {"n_values": N_VALUES, "seconds": figures})


if __name__ == "__main__":
    main()
