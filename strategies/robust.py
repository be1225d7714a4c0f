"""A round of training whose strategy compares the sites' models: only where sums are plain.

References
----------
Blanchard et al. 2017 (Krum), arXiv:1703.02757; Yin et al. 2018 (median, trimmed mean),
arXiv:1803.01498.
"""

from typing import Any

import numpy as np
from flwr.app import Message

from common.config import RunConfig
from common.errors import SecureSumError
from common.models.state import State, averaged_names
from common.secure.backend import SumContext
from common.secure.running_sum import VECTOR
from strategies.by_name import strategy_of
from strategies.feed import Reply, feed
from strategies.records import arrays_of
from strategies.secure_sum import UPLOAD, Summed
from strategies.training_round import TrainingRound


class RobustRound(TrainingRound):
    """One federated round, aggregated from every site's own model.

    Buffers are aggregated like parameters: their plain mean would let one site spoil the model,
    and the model that Krum picks is one with its own running statistics.

    Parameters
    ----------
    state, n_cells
        See :class:`~strategies.training_round.TrainingRound`.
    config
        Names the strategy, which is made for as many sites as have answered.
    **content
        See :class:`~strategies.secure_sum.SecureSum`.
    """

    def __init__(self, state: State, n_cells: int, *, config: RunConfig, **content: Any):
        super().__init__(state, n_cells, **content)
        self.config = config
        if self.backend.masks:
            raise SecureSumError(
                f"strategy = {config.strategy} needs plain sums; set secure-sum = off"
            )

    def _start(self, context: SumContext | None) -> None:
        super()._start(context)
        self._single: dict[int, tuple[Message, np.ndarray]] = {}

    def receive(self, reply: Message) -> None:
        """Keep an upload before it is added to the sum."""
        vector = arrays_of(reply.content, UPLOAD).get(VECTOR)
        super().receive(reply)
        self._single[reply.metadata.src_node_id] = (reply, vector)

    def aggregate_models(self, round_: int, summed: Summed, reply: Message) -> State:
        """The strategy's model; counters stay as they are."""
        # By node: the order of arrival decides nothing.
        replies = [self._reply(*self._single[node_id]) for node_id in sorted(self._single)]
        strategy = strategy_of(self.config, len(replies))
        before = {name: self.state[name] for name in averaged_names(self.state)}
        return {**self.state, **feed(strategy, round_, before, replies)}

    def _reply(self, message: Message, vector: np.ndarray) -> Reply:
        own = self._unpack(vector)
        n_train = round(float(own["n_train"]))
        if n_train < 1:
            site = message.metadata.src_node_id
            raise SecureSumError(f"site {site} says it trained on {n_train} cells; leave it out")
        return Reply(self.mean_of(own["update"], n_train, 1), n_train, message)
