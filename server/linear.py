"""A linear classifier at its one optimum over all sites: sums of loss and gradient, and L-BFGS."""

import logging
import time
from dataclasses import dataclass, field

import numpy as np

from common.classification.linear_loss import linear_loss
from common.classification.linear_optimum import LinearLoss, pooled_optimum
from common.classification.validation import validation_of
from common.errors import SecureSumError
from common.models.state import State
from server.rounds import before
from server.summed_rounds import SummedRounds

logger = logging.getLogger("syncytium.server")
# Rounds of a run that names none; most end far below.
MAX_ROUNDS = 300
# Largest entry of the gradient, by the loss: a hinge's corners cost rounds and change no answer.
TOLERANCES = {"softmax": 1e-4, "hinge": 1e-3, "squared_hinge": 1e-3}


class _TargetReached(Exception):
    """At a point, (n_parameters,), that L-BFGS has asked for."""

    def __init__(self, point: np.ndarray):
        super().__init__()
        self.point = point


@dataclass
class LinearRounds(SummedRounds):
    """The rounds of a linear classifier; each is one sum over all sites at one point.

    Parameters
    ----------
    begin
        Values of a classifier of the same genes and classes to begin at; none, at zero.
    """

    begin: State = field(default_factory=dict)
    _round = 0
    _best = np.inf

    def train(self) -> State:
        """The optimum.

        Raises
        ------
        SecureSumError
            A site was lost: the sum would be of another loss.
        """
        if done := self.checkpoint.arrays("trained"):
            return done
        loss = linear_loss(self.plan, len(self.panel.genes), self.counts)
        start = self.checkpoint.arrays("point").get("parameters")
        if start is None and self.begin:
            start = loss.parameters(self.begin)
        self._round = self.checkpoint.get("linear_round", 0)
        self.folder.keep_rounds(self._round)
        self.folder.note(n_parameters=loss.n_parameters)
        given = self.session.config.rounds
        try:
            found = pooled_optimum(
                loss,
                self._sum,
                float(self.counts.sum()),
                start=start,
                max_rounds=given or MAX_ROUNDS,
                tolerance=TOLERANCES[loss.kind],
            )
        except _TargetReached as reached:
            rounds = self._round - 1
            self.folder.note(stopped_early=self._round, kept_round=rounds, target_reached=rounds)
            return self._finish(loss.state(reached.point))
        if not found.converged:
            logger.warning("the linear optimum was not reached in %d rounds", found.n_rounds)
        self.folder.note(n_rounds=self._round, converged=found.converged)
        return self._finish(loss.state(found.parameters))

    def _finish(self, state: State) -> State:
        self.checkpoint.save("linear_round", self._round, {"trained": state, "point": {}})
        return state

    def _sum(self, loss: LinearLoss, point: np.ndarray) -> np.ndarray:
        began, target = time.monotonic(), self.session.config.target_f1
        self._round += 1
        summed = self.session.sum(
            "linear_gradient",
            values={**self.asked, "corner": loss.corner, "validate": bool(target)},
            arrays={"point": {"parameters": point}},
            panel=self.panel,
            round_=self._round,
        )
        n_train = summed.count("n_train")
        if n_train != int(self.counts.sum()):
            raise SecureSumError(
                f"{n_train:,} training cells answered and {int(self.counts.sum()):,} were counted: "
                "a site was lost, and the optimum of the others is another one; set on-site-error "
                "= wait, or begin anew without it"
            )
        value = float(summed.values["loss"]) / n_train
        validation = validation_of(summed.values)
        self.folder.metrics(
            round=self._round,
            n_sites=summed.n_sites,
            train_loss=value,
            validation_loss_before=None,
            **before(validation),
            seconds=round(time.monotonic() - began, 3),
        )
        logger.info("round %d: loss %.4f", self._round, value)
        if self.meets_target(validation):
            raise _TargetReached(point)
        if value < self._best:
            self._best = value
            self.checkpoint.save("linear_round", self._round, {"point": {"parameters": point}})
        return np.concatenate([[float(summed.values["loss"])], summed.values["gradient"]])
