"""FedSGD: a round is one step of Adam on the gradient over all sites' cells, as on pooled cells.

McMahan et al. 2017, arXiv:1602.05629, section 2: FedAvg with one local step on all of a site's
cells. Sites send no model that they have trained, so none drifts towards its own batch effect.

References
----------
Reddi et al. 2020, arXiv:2003.00295, Algorithm 2 (FedAdam): the mean change is the gradient here.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from flwr.app import Message
from flwr.serverapp.strategy import FedAdam

from common.training import learning_rate_at

BETA_1, BETA_2 = 0.9, 0.99
# Adam's epsilon, for gradients of the loss summed over genes.
EPSILON = 1e-8


class Rates(Protocol):
    """What a training says of the learning rate of a round."""

    rounds: int
    learning_rate: float
    schedule: str


class FedSGD(FedAdam):
    """Flower's FedAdam with the training's learning rate of each round.

    Parameters
    ----------
    training
        Its learning rate and schedule.
    """

    def __init__(self, training: Rates):
        super().__init__(eta=training.learning_rate, beta_1=BETA_1, beta_2=BETA_2, tau=EPSILON)
        self.training = training

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:
        """As FedAdam's."""
        self.eta = learning_rate_at(self.training, server_round)
        return super().aggregate_train(server_round, replies)
