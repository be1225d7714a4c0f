"""The training rounds of a workflow: until they are done, or the loss no longer falls."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from common.classification.validation import Validation
from common.config import RunConfig
from common.errors import ConfigError, UpdateError
from common.models.state import State, averaged_names
from common.pruned import Kept, prune_after, weights_of, without_smallest
from common.strategy_names import ROBUST
from server.checkpoint import Checkpoint
from server.runs import RunFolder
from server.session import Session
from strategies.by_name import strategy_of
from strategies.fedavg import SecureFedAvg
from strategies.momentum import momentum_of, restore_momentum, thin_momentum
from strategies.robust import RobustRound
from strategies.training_round import TrainedRound, TrainingRound

logger = logging.getLogger("syncytium.server")


class Training(Protocol):
    """What a training says of its rounds."""

    rounds: int
    patience: int
    weighting: str
    learning_rate: float
    schedule: str


@dataclass(frozen=True)
class Reached:
    """How far the training is.

    Parameters
    ----------
    state, round_
        The model after this round; once it is pruned, of its kept values.
    best, best_loss, kept
        The model with the lowest validation loss, that loss, and after which round it was.
    waited
        Rounds since without a lower one.
    target
        Macro-F1 on validation cells of the model that is sought; 0, none is.
    met
        ``best`` has it.
    """

    state: State
    round_: int = 0
    best: State = field(default_factory=dict)
    best_loss: float = np.inf
    kept: int = 0
    waited: int = 0
    target: float = 0.0
    met: bool = False

    def after(self, trained: TrainedRound) -> "Reached":
        """With one round more; its replies hold the loss of the model it started from."""
        loss, round_ = trained.validation_loss, self.round_ + 1
        going_on = replace(self, state=trained.state, round_=round_)
        if self.target and trained.validation and trained.validation.macro_f1 >= self.target:
            return replace(going_on, best=self.state, kept=self.round_, met=True)
        if loss is None:
            return going_on
        if loss < self.best_loss:
            return replace(going_on, best=self.state, best_loss=loss, kept=self.round_, waited=0)
        return replace(going_on, waited=self.waited + 1)


def before(validation: Validation | None) -> dict[str, float]:
    """How good the model was that a round started from, as the round's line has it."""
    figures = asdict(validation) if validation else {}
    return {f"validation_{name}_before": value for name, value in figures.items()}


class Rounds:
    """Federated rounds of one model.

    Parameters
    ----------
    session
        Runs them.
    config, training
        The run's settings.
    trained
        The model's parameters by name; see :class:`~strategies.fedavg.SecureFedAvg`.
    folder, checkpoint
        Receive a line and the state after each round.
    phase, of_some
        In which the sites train, and in which they do where one may be lost, or is.
    unpruned
        Of ``trained``, what is never pruned.
    content
        What else every round is asked with; see :class:`~strategies.secure_sum.SecureSum`.
    """

    def __init__(
        self,
        session: Session,
        config: RunConfig,
        training: Training,
        trained: Sequence[str],
        folder: RunFolder,
        checkpoint: Checkpoint,
        *,
        phase: str = "fit",
        of_some: str = "fit",
        unpruned: Collection[str] = (),
        content: Mapping[str, Any],
    ):
        self.session = session
        self.config = config
        self.n_rounds = training.rounds
        self.patience = training.patience
        self.prune_after = prune_after(config, training.rounds)
        self.trained = trained
        self.unpruned = unpruned
        self.content = {**content, "weighting": training.weighting}
        self.phase, self.of_some = phase, of_some
        self.folder = folder
        self.checkpoint = checkpoint
        # One object for all rounds: it may keep momentum.
        robust = config.strategy_name in ROBUST
        self.strategy = None if robust else strategy_of(config, training=training)
        self._make: Callable[..., TrainingRound] = (
            partial(RobustRound, config=config)
            if self.strategy is None
            else partial(SecureFedAvg, strategy=self.strategy, trained=trained)
        )

    def train(self, state: State, n_cells: int) -> State:
        """The trained model, from ``state``; the sites have ``n_cells`` cells that count.

        On stopping early the state with the lowest validation loss is kept, or the first that has
        the run's ``target-f1``; else the last one. A round in which an update is not finite leaves
        the state as it was.
        """
        self._require_prunable(state)
        reached = self._go_on(state)
        self.folder.note(n_exchanged=_n_values(reached.state))
        while reached.round_ < self.n_rounds:
            if self._prunes(reached):
                reached = self._prune(reached)
            elif self._stops(reached):
                break
            else:
                reached = self._round(reached, n_cells)
            self._save(reached)
        trained = reached.state
        if self._stops(reached):
            self.folder.note(stopped_early=reached.round_, kept_round=reached.kept)
            if reached.met:
                self.folder.note(target_reached=reached.kept)
            trained = reached.best
        return self.session.kept.whole(trained)

    def _prunable(self, state: State) -> list[str]:
        return [name for name in weights_of(state, self.trained) if name not in self.unpruned]

    def _require_prunable(self, state: State) -> None:
        if self.prune_after and not self._prunable(state):
            raise ConfigError(
                f"prune-share = {self.config.prune_share:g}: of {', '.join(self.trained)}, which "
                "are trained, none is a weight matrix; train more of the network, or leave "
                "prune-share out"
            )

    def _prunes(self, reached: Reached) -> bool:
        # Where training would stop before, there is nothing to wait for.
        due = reached.round_ == self.prune_after or self._stops(reached)
        return bool(self.prune_after) and due and not self.session.kept

    def _prune(self, reached: Reached) -> Reached:
        """From here on models before it are no longer candidates: they have all weights."""
        state = reached.best if self._stops(reached) else reached.state
        kept = without_smallest(state, self._prunable(state), self.config.prune_share)
        if self.strategy:
            thin_momentum(self.strategy, self.trained, kept)
        self.session.kept = kept
        thin = kept.thin(state)
        facts = {"round": reached.round_, **kept.facts(), "n_exchanged": _n_values(thin)}
        self.folder.note(pruned=facts)
        logger.info(
            "after round %d: %.0f %% of the weights are pruned",
            reached.round_,
            100 * facts["share"],
        )
        return Reached(thin, reached.round_, target=reached.target)

    def _stops(self, reached: Reached) -> bool:
        return reached.met or bool(self.patience and reached.waited >= self.patience)

    def _round(self, reached: Reached, n_cells: int) -> Reached:
        start, round_ = time.monotonic(), reached.round_ + 1

        def make() -> TrainingRound:
            phase = self.phase if self.session.keeps_all() else self.of_some
            how = {"kept": self.session.kept, **self.session.settings(), "phase": phase}
            return self._make(reached.state, n_cells, **self.content, **how)

        try:
            phase, summed, reply = self.session.run(make, round_)
        except UpdateError as error:
            logger.warning("round %d %s", round_, error)
            self.folder.metrics(round=round_, void=str(error))
            return replace(reached, round_=round_)
        trained = phase.step(round_, summed, reply)
        if self.config.precision != "float32":
            self.folder.note(float32_sites={"n": trained.n_float32, "of": trained.n_sites})
        self.folder.metrics(
            round=round_,
            n_sites=trained.n_sites,
            train_loss=trained.train_loss,
            validation_loss_before=trained.validation_loss,
            **before(trained.validation),
            seconds=round(time.monotonic() - start, 3),
        )
        loss = trained.validation_loss
        kind, shown = ("training", trained.train_loss) if loss is None else ("validation", loss)
        logger.info("round %d of %d: %s loss %.4f", round_, self.n_rounds, kind, shown)
        return reached.after(trained)

    def _save(self, reached: Reached) -> None:
        values = {
            "round": reached.round_,
            "best_loss": None if np.isinf(reached.best_loss) else reached.best_loss,
            "kept": reached.kept,
            "waited": reached.waited,
            "met": reached.met,
            **self.session.kept.values,
        }
        momentum = momentum_of(self.strategy) if self.strategy else {}
        best = reached.best if self.patience or reached.met else {}
        arrays = {"trained": reached.state, "best": best, "momentum": momentum}
        arrays |= self.session.kept.arrays
        self.checkpoint.save("rounds", values, arrays)

    def _go_on(self, state: State) -> Reached:
        kept = self.checkpoint.get("rounds")
        target = self.config.target_f1
        if kept is None:
            return Reached(state, target=target)
        self.session.kept = Kept.received(kept, self.checkpoint.arrays("kept"))
        if self.strategy:
            restore_momentum(self.strategy, self.checkpoint.arrays("momentum"))
        self.folder.keep_rounds(kept["round"])
        best_loss = np.inf if kept["best_loss"] is None else kept["best_loss"]
        return Reached(
            self.checkpoint.arrays("trained"),
            kept["round"],
            self.checkpoint.arrays("best"),
            best_loss,
            kept["kept"],
            kept["waited"],
            target,
            kept["met"],
        )


def _n_values(state: State) -> int:
    """Values that a site sends in a round."""
    return sum(state[name].size for name in averaged_names(state))
