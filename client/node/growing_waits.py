"""Waits that are short while there is work, and grow while there is none.

An idle node that asks ten times a second costs a tenth of a core.
"""

import time
from typing import Any

SHARE = 0.05


class GrowingWaits:
    """The module ``time``, whose sleeps are a share of the time since something came.

    Parameters
    ----------
    shortest, longest
        Seconds of a sleep; never more than Flower's own.
    """

    def __init__(self, shortest: float, longest: float):
        self.shortest, self.longest = shortest, longest
        self._since = time.monotonic()

    def something_came(self) -> None:
        """Ask often again."""
        self._since = time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Flower's ``time.sleep``."""
        grown = SHARE * (time.monotonic() - self._since)
        time.sleep(min(seconds, max(self.shortest, min(grown, self.longest))))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
