"""A round on the mean of the sites' models: FedAvg, FedProx, and the optimisers at the server.

The secure sum turns the sites' replies into one, the mean of their models, weighted by training
cells where the preset does not say otherwise, and Flower's own strategy is fed that one reply.

References
----------
McMahan et al. 2017, arXiv:1602.05629, Algorithm 1.
"""

from collections.abc import Sequence
from typing import Any

from flwr.app import Message
from flwr.serverapp.strategy import Strategy

from common.models.state import State
from strategies.feed import Reply, feed
from strategies.secure_sum import Summed
from strategies.training_round import TrainingRound


class SecureFedAvg(TrainingRound):
    """One federated round.

    Parameters
    ----------
    state, n_cells
        See :class:`~strategies.training_round.TrainingRound`.
    strategy
        Flower's strategy that is fed the one summed reply; the same object in every round.
    trained
        The model's parameters by name: what the strategy is fed. The other entries, running means
        and variances, become their weighted mean, for a server optimiser's step could make a
        variance negative.
    **content
        See :class:`~strategies.secure_sum.SecureSum`.
    """

    def __init__(
        self,
        state: State,
        n_cells: int,
        *,
        strategy: Strategy,
        trained: Sequence[str],
        **content: Any,
    ):
        super().__init__(state, n_cells, **content)
        self.strategy = strategy
        self.trained = trained

    def aggregate_models(self, round_: int, summed: Summed, reply: Message) -> State:
        """The strategy's parameters, and the mean of everything else."""
        n_train = summed.count("n_train")
        mean = self.mean_of(summed.values["update"], n_train, summed.n_sites)
        before = {name: self.state[name] for name in self.trained}
        return {**mean, **feed(self.strategy, round_, before, [Reply(mean, n_train, reply)])}
