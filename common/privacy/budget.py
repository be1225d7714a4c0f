"""A privacy budget that refuses to be overspent, before anything is released."""

from collections.abc import Sequence

from common.errors import BudgetError
from common.privacy.analytic_gaussian import check_delta, check_epsilon
from common.privacy.composition import composed_epsilon
from common.privacy.spends import Spend


class Budget:
    """What may be spent on the same units, and what has been.

    Parameters
    ----------
    epsilon, delta
        That all releases together keep to.
    spends
        So far.

    Raises
    ------
    ConfigError
        Epsilon or delta is absurd.
    """

    def __init__(self, epsilon: float, delta: float, spends: Sequence[Spend] = ()):
        check_epsilon(epsilon)
        check_delta(delta)
        self.epsilon, self.delta = epsilon, delta
        self._spends = tuple(spends)

    @property
    def spends(self) -> tuple[Spend, ...]:
        """So far."""
        return self._spends

    @property
    def spent(self) -> float:
        """Epsilon of all spends so far at the budget's delta."""
        return composed_epsilon(self._spends, self.delta)

    def with_more(self, spends: Sequence[Spend]) -> float:
        """Epsilon if these were spent, too."""
        return composed_epsilon([*self._spends, *spends], self.delta)

    def spend(self, *spends: Spend) -> float:
        """Take all of these from the budget, or none.

        Returns
        -------
        Epsilon spent with them.

        Raises
        ------
        BudgetError
            It would be exceeded; nothing is taken.
        """
        total = self.with_more(spends)
        # Not "total > epsilon": NaN must not pass.
        if not total <= self.epsilon:
            raise BudgetError(
                f"the privacy budget is epsilon {self.epsilon:g} at delta {self.delta:g}: "
                f"{self.spent:.6g} is spent and this release would make it {total:.6g}; add more "
                "noise, release less, or leave it"
            )
        self._spends = (*self._spends, *spends)
        return total
