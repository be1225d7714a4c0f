"""A sum of which each site's part holds a share of the noise: opened only if enough shares are in.

References
----------
Dwork et al. 2006, doi:10.1007/11761679_29 (noise that the parties add together).
"""

from typing import Any

from flwr.app import Message

from common.errors import SecureSumError
from strategies.secure_sum import SecureSum, Summed


class NoisedSum(SecureSum):
    """One stage's release.

    Parameters
    ----------
    noise_lost
        Sites that may be lost between its begin and its opening.
    **content
        See :class:`~strategies.secure_sum.SecureSum`.
    """

    def __init__(self, phase: str, *, noise_lost: int, **content: Any):
        super().__init__(phase, **content)
        self.noise_lost = noise_lost

    @property
    def n_begun(self) -> int:
        """Sites among which the noise was shared."""
        return self._context.n_sites

    def follow_up(self, replies: list[Message]) -> list[Message]:
        """No site is asked to open what has too little noise; raises as :meth:`aggregate`."""
        if self._trip is None:
            self._take(replies)
            self._noise_suffices()
        return super().follow_up(replies)

    def aggregate(self, round_: int, replies: list[Message]) -> Summed:
        """Open the sum.

        Raises
        ------
        SecureSumError
            Too many shares of the noise are missing, or as of ``SecureSum``.
        """
        if self._trip is None:
            self._take(replies)
        self._noise_suffices()
        return super().aggregate(round_, replies)

    def _noise_suffices(self) -> None:
        lost = self.n_begun - len(self._uploads)
        if lost > self.noise_lost:
            raise SecureSumError(
                f"{lost} of {self.n_begun} sites are lost and the noise covers at most noise-lost "
                f"= {self.noise_lost}: the sum is not opened"
            )
