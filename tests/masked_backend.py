"""A two-trip sum backend for tests: each upload hides behind a random mask until the reveal."""

from typing import ClassVar

import numpy as np
from flwr.supercore.task_identity import TaskIdentity

from common.errors import SecureSumError
from common.secure.backend import VECTOR, Arrays, SumContext
from common.secure.ring import add


class Masked:
    """Every survivor can reveal the sum of all survivors' masks, as shares of them would.

    ``masks`` and ``asked`` are what the sites keep between trips; a test clears them.
    """

    reveals = True
    masks: ClassVar[dict[tuple[SumContext, str], np.ndarray]] = {}
    asked: ClassVar[list[tuple[str, list[str], SumContext]]] = []
    threshold: ClassVar[int] = 1

    @classmethod
    def clear(cls, threshold: int = 1) -> None:
        """Forget earlier sums; ``threshold`` reveals are needed from now on."""
        cls.masks.clear()
        cls.asked.clear()
        cls.threshold = threshold

    def upload(self, vector: np.ndarray, context: SumContext) -> Arrays:
        """The vector plus a fresh mask."""
        site = str(TaskIdentity.node_id)
        mask = np.random.default_rng().integers(2**64, size=vector.shape, dtype=np.uint64)
        if (context, site) in self.masks:
            raise SecureSumError(f"{context} is used twice at site {site}")
        self.masks[context, site] = mask
        return {VECTOR: vector + mask}

    def reveal(self, survivors: list[str], context: SumContext) -> Arrays:
        """The sum of the survivors' masks."""
        self.asked.append((str(TaskIdentity.node_id), survivors, context))
        return {"mask": add([self.masks[context, site] for site in survivors])}

    def open(
        self,
        total: np.ndarray,
        uploads: dict[str, Arrays],
        reveals: dict[str, Arrays],
        context: SumContext,
    ) -> np.ndarray:
        """Subtract what any of the reveals gives."""
        if len(reveals) < self.threshold:
            raise SecureSumError(f"{len(reveals)} of {self.threshold} reveals: nothing opens")
        return total - next(iter(reveals.values()))["mask"]
