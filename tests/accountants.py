"""A program that needs every accountant, for images that leave packages out; it prints epsilons."""

import contextlib
import io

EVERY_ACCOUNTANT = """
import importlib, pkgutil
import common.privacy
from common.privacy.composition import composed_epsilon
from common.privacy.spends import GaussianSpend, PureSpend, SkellamSpend
for module in pkgutil.iter_modules(common.privacy.__path__):
    importlib.import_module("common.privacy." + module.name)
whole = GaussianSpend(mu=0.5, ratio=1e-12)
sampled = GaussianSpend(mu=0.2, sampling=0.1, times=20)
pure = PureSpend(epsilon=0.5, delta=1e-7)
skellam = SkellamSpend(l1=10, l2=3, variance=1e4)
for spends in ([whole], [whole, sampled], [pure], [whole, pure], [skellam], [skellam, sampled]):
    print(composed_epsilon(spends, 1e-5))
"""


def numbers(printed: str) -> list[float]:
    """One a line."""
    return [float(line) for line in printed.splitlines()]


def computed_here() -> list[float]:
    """What the program prints where nothing is left out."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(EVERY_ACCOUNTANT, {})
    return numbers(printed.getvalue())
