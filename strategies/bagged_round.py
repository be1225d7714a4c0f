"""A round of trees that every site has grown by itself: only where sums are plain.

References
----------
Flower's FedXgbBagging.
"""

from typing import Any

import numpy as np
from flwr.app import Message

from common.boosting.forest import Forest
from common.boosting.tree_words import trees_of_words
from common.errors import SecureSumError
from common.secure.backend import SumContext
from common.secure.running_sum import VECTOR
from strategies.records import arrays_of
from strategies.secure_sum import UPLOAD, SecureSum


class BaggedRound(SecureSum):
    """One round.

    Parameters
    ----------
    **content
        See :class:`~strategies.secure_sum.SecureSum`.

    Raises
    ------
    SecureSumError
        Sums are masked.
    """

    def __init__(self, **content: Any):
        super().__init__("bagged_trees", **content)
        if self.backend.masks:
            raise SecureSumError("forest = bagging needs plain sums; set secure-sum = off")

    def _start(self, context: SumContext | None) -> None:
        super()._start(context)
        self._single: dict[int, np.ndarray] = {}

    def receive(self, reply: Message) -> None:
        """Keep an upload before it is added to the sum."""
        vector = arrays_of(reply.content, UPLOAD).get(VECTOR)
        super().receive(reply)
        self._single[reply.metadata.src_node_id] = vector

    def trees(self, forest: Forest) -> list[Forest]:
        """The sites' trees after ``forest``.

        Raises
        ------
        WireError
            A site's are none.
        """
        # By node: the order of arrival decides nothing.
        vectors = [self._single[node_id] for node_id in sorted(self._single)]
        return [trees_of_words(self._unpack(vector)["trees"], forest) for vector in vectors]
