"""Whether a budget can give anything of use, told before any of it is spent.

What noise leaves of a class mean is n mu / k: the records of an average class times what one record
may show of itself (mu: sensitivity over noise). With few classes the guess without any data is
better, too, so it is compared by n mu / sqrt(k). The limits are rules of thumb from two bulk
cohorts (docs/synthesize.md): below ``LEAST`` a classifier of the synthetic records did not beat
guessing the commonest class by much, above ``GOOD`` it came near one of real records.

The option ``class-genes`` of ``gaussian`` is not in it, and no public number could put it there.
With g of d genes the ball of class means has the square root of the sum of these genes' variances
for its radius, so a class mean's noise in each gene is about sqrt(g / d) of what it was; what
classes differ by in the other genes is no longer seen. The distance of two classes over its noise
is better by the square root of (mean over the g genes of their squared difference in standard
deviations) / (the same mean over all d): 1 for genes taken at random, sqrt(d / g) if all
differences are in them, and below 1 for a bad list. That ratio is of the records. One list was
measured: it helped at one epsilon of three (docs/synthesize.md).
"""

import math
from dataclasses import dataclass
from typing import Literal

from common.errors import ConfigError
from common.privacy.analytic_gaussian import epsilon_at, mu_for
from common.privacy.composition import greatest_epsilon

LEAST, GOOD = 45.0, 100.0


@dataclass(frozen=True)
class Usefulness:
    """What to expect.

    Parameters
    ----------
    grade
        ``none``: do not spend the budget; ``weak``: frequent classes only; ``good``.
    strength
        n mu / sqrt(n_classes).
    least_epsilon
        From which on it is more than ``none``; infinity if it is beyond all that can be stated.
    """

    grade: Literal["none", "weak", "good"]
    strength: float
    least_epsilon: float

    def __str__(self) -> str:
        if self.grade == "good":
            return "the noise is small against the classes' usual differences"
        if self.grade == "weak":
            return "expect frequent classes to be told apart, and rare ones hardly"
        if math.isinf(self.least_epsilon):
            return "there are too few units for synthetic records of use at any epsilon"
        return (
            "synthetic records will tell little more than which class is the commonest; it takes "
            f"epsilon {self.least_epsilon:.2g} or more units"
        )


def usefulness(n: float, n_classes: int, epsilon: float, delta: float) -> Usefulness:
    """What to expect of a run.

    Parameters
    ----------
    n
        Units, roughly: a public guess, or a noisy count.
    n_classes
        Of the schema.
    epsilon, delta
        Of the whole run; infinity: no noise.
    """
    strength = strength_of(n, n_classes, epsilon, delta)
    if math.isinf(strength):
        return Usefulness("good", strength, 0.0)
    wanted = LEAST * math.sqrt(n_classes) / n
    least = epsilon_at(wanted, delta)
    if least > greatest_epsilon(delta):
        least = math.inf
    grade = "none" if strength < LEAST else "weak" if strength < GOOD else "good"
    return Usefulness(grade, strength, least)


def strength_of(n: float, n_classes: int, epsilon: float, delta: float) -> float:
    """n mu / sqrt(n_classes); infinity without noise.

    Raises
    ------
    ConfigError
        There is no unit or no class; or epsilon or delta is none.
    """
    if not 0 < n < math.inf or n_classes < 1:
        raise ConfigError(
            f"{n} units of {n_classes} classes: give the rough number of units, and the classes"
        )
    if math.isinf(epsilon):
        return math.inf
    return n * mu_for(epsilon, delta) / math.sqrt(n_classes)
