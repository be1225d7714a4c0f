"""One round of the model's training: what every strategy's round asks of the sites and returns."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Message

from common.classification.validation import Validation, validation_of
from common.models.state import State, moved
from common.pruned import Kept
from strategies.secure_sum import SecureSum, Summed


@dataclass(frozen=True)
class TrainedRound:
    """The model after a round.

    ``validation_loss`` is that of the model the round started with, the mean over validation cells
    of all sites; None if no site held any out. ``train_loss`` is the mean over training cells, and
    ``validation`` how good that model's answers are, of a classifier alone.
    ``n_float32`` sites trained in float32 because their device has no bfloat16.
    """

    state: State
    n_sites: int
    n_train: int
    train_loss: float
    validation_loss: float | None
    validation: Validation | None = None
    n_float32: int = 0


class TrainingRound(SecureSum):
    """Base of the rounds; a subclass makes the new model (:meth:`aggregate_models`).

    Parameters
    ----------
    state
        The model that the sites start from; where it is pruned, of its kept values.
    n_cells
        Cells of all sites: each site scales its change of the model by its share of them.
    weighting
        ``"cells"``, or ``"sites"``, whose changes are not scaled: all count alike.
    phase
        In which sites train, with the fields of ``fit``.
    kept
        Which weights are kept.
    **content
        See :class:`~strategies.secure_sum.SecureSum`.
    """

    def __init__(
        self,
        state: State,
        n_cells: int,
        *,
        weighting: str = "cells",
        phase: str = "fit",
        kept: Kept | None = None,
        **content: Any,
    ):
        kept = kept or Kept()
        values = {**content.pop("values", {}), "n_cells": n_cells, **kept.values}
        super().__init__(phase, values=values, arrays={"model": state, **kept.arrays}, **content)
        self.state = state
        self.n_cells = n_cells
        self.weighting = weighting

    def mean_of(self, update: np.ndarray, n_train: int, n_sites: int) -> State:
        """The model, moved by the mean of ``n_sites`` changes over ``n_train`` cells."""
        shares = n_sites if self.weighting == "sites" else n_train / self.n_cells
        return moved(self.state, update, 1 / shares)

    @abstractmethod
    def aggregate_models(self, round_: int, summed: Summed, reply: Message) -> State:
        """The model from the sums; ``reply`` is one of the sites'."""

    def step(self, round_: int, summed: Summed, reply: Message) -> TrainedRound:
        """The round's model and losses from the sums.

        Raises
        ------
        SecureSumError
            The strategy did not return a model.
        """
        n_train, n_validation = summed.count("n_train"), summed.count("n_validation")
        validation = float(summed.values["validation_loss"])
        return TrainedRound(
            self.aggregate_models(round_, summed, reply),
            summed.n_sites,
            n_train,
            float(summed.values["train_loss"]) / n_train,
            validation / n_validation if n_validation else None,
            validation_of(summed.values),
            summed.count("n_float32"),
        )
