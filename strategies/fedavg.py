"""FedAvg on masked sums: one round of the model's training.

The secure sum turns the sites' replies into one, the mean of their models weighted by training
cells, and Flower's own strategy is fed that one reply.

References
----------
McMahan et al. 2017, arXiv:1602.05629, Algorithm 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg, Strategy

from common.errors import SecureSumError
from common.models.state import State, moved
from strategies.records import from_array, to_array
from strategies.secure_sum import SecureSum, Summed


@dataclass(frozen=True)
class TrainedRound:
    """The averaged model of a round.

    ``validation_loss`` is that of the model the round started with, the mean over validation cells
    of all sites; None if no site held any out. ``train_loss`` is the mean over training cells.
    """

    state: State
    n_sites: int
    n_train: int
    train_loss: float
    validation_loss: float | None


class SecureFedAvg(SecureSum):
    """One federated round.

    Parameters
    ----------
    state
        The model that the sites start from.
    n_cells
        Cells of all sites: each site scales its model by its share of them.
    strategy
        Flower's strategy that is fed the one summed reply.
    **content
        See :class:`~strategies.secure_sum.SecureSum`.
    """

    def __init__(
        self, state: State, n_cells: int, strategy: Strategy | None = None, **content: Any
    ):
        values = {**content.pop("values", {}), "n_cells": n_cells}
        super().__init__("fit", values=values, arrays={"model": state}, **content)
        self.state = state
        self.n_cells = n_cells
        self.strategy = strategy or FedAvg()

    def step(self, round_: int, summed: Summed, reply: Message) -> TrainedRound:
        """The round's model from the sums.

        Raises
        ------
        SecureSumError
            The strategy did not return a model.
        """
        n_train = summed.count("n_train")
        mean = moved(self.state, summed.values["update"], self.n_cells / n_train)
        content = RecordDict(
            {
                "arrays": ArrayRecord({name: to_array(value) for name, value in mean.items()}),
                "metrics": MetricRecord({"num-examples": n_train}),
            }
        )
        arrays, _ = self.strategy.aggregate_train(round_, [Message(content, reply_to=reply)])
        if arrays is None:
            raise SecureSumError(f"{type(self.strategy).__name__} returned no model")
        state = {name: from_array(arrays[name]) for name in self.state}
        n_validation = summed.count("n_validation")
        validation = float(summed.values["validation_loss"])
        return TrainedRound(
            {n: np.asarray(v, dtype=self.state[n].dtype) for n, v in state.items()},
            summed.n_sites,
            n_train,
            float(summed.values["train_loss"]) / n_train,
            validation / n_validation if n_validation else None,
        )
