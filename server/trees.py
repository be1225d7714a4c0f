"""Boosted trees over all sites: bins from one sum of counts, then a sum for each level."""

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.boosting.bins import BinEdges, chosen_edges, public_grid
from common.boosting.forest import Forest
from common.boosting.forest_state import forest_of, state_of_forest
from common.boosting.grower import Grower
from common.boosting.request import Request
from common.classification.tree_plan import boosting_of, weights_of
from common.classification.validation import Validation, validation_of
from common.errors import SecureSumError
from common.models.state import State
from server.rounds import before
from server.summed_rounds import SummedRounds
from strategies.secure_sum import Summed

logger = logging.getLogger("syncytium.server")


@dataclass(frozen=True)
class Validated:
    """Mean loss and figures of a forest on the validation cells; None without any."""

    loss: float | None = None
    figures: Validation | None = None


class TreeRounds(SummedRounds):
    """The rounds of a forest."""

    _n_sums = 0

    def train(self) -> State:
        """The forest's arrays.

        Raises
        ------
        SecureSumError
            A site was lost: beside earlier sums those over the others would show its part.
        """
        edges = self._edges()
        kept = self.checkpoint.get("trees", {"rounds": 0, "best": 0, "best_loss": None})
        state = self.checkpoint.arrays("trained")
        start = forest_of(state) if state else None
        training, done = self.plan.training, kept["rounds"]
        self.folder.note(n_rounds=training.rounds)
        if done == training.rounds:
            return state_of_forest(start)
        boosting = boosting_of(self.plan, training.rounds - done, self.session.config.seed)
        weights = weights_of(self.plan, self.counts)
        grower = Grower(edges, self.counts, boosting, weights, start)
        return self._grow(grower, edges, kept)

    def _edges(self) -> BinEdges:
        grid, kept = public_grid(), self.checkpoint.arrays("edges")
        if not kept:
            counts = self.session.sum("bin_counts", values=self.asked, panel=self.panel)
            whole = np.rint(counts.values["n_cells"]).astype(np.int64)
            edges = chosen_edges(whole, grid, self.plan.shape.n_edges)
            kept = {"kept": edges.kept.astype(np.uint8)}
            self.checkpoint.save("edges", {}, {"edges": kept})
        return BinEdges(grid, kept["kept"].astype(bool))

    def _grow(self, grower: Grower, edges: BinEdges, kept: dict[str, Any]) -> State:
        best = kept["best"]
        best_loss = np.inf if kept["best_loss"] is None else kept["best_loss"]
        began, n_rounds = time.monotonic(), grower.forest.n_rounds
        self.folder.keep_rounds(n_rounds)
        first, validated = True, Validated()
        while (request := grower.request()) is not None:
            summed = self._sum(request, edges, validate=first)
            if first:
                validated = validated_in(summed)
                best, best_loss, stop = self.best_of(n_rounds, validated, best, best_loss)
                if stop:
                    return state_of_forest(grower.forest.rounds(0, best))
            grower.step(summed.values["sums"])
            first = grower.forest.n_rounds > n_rounds
            if first:
                n_rounds = grower.forest.n_rounds
                self._tell(n_rounds, summed.n_sites, validated, time.monotonic() - began)
                self._save(grower.forest, best, best_loss)
                began = time.monotonic()
        return state_of_forest(grower.forest)

    def best_of(
        self, n_rounds: int, validated: Validated, best: int, best_loss: float
    ) -> tuple[int, float, bool]:
        """Best round and its loss, with that after ``n_rounds``, and whether to stop there."""
        if self.meets_target(validated.figures):
            self.folder.note(stopped_early=n_rounds, kept_round=n_rounds, target_reached=n_rounds)
            return n_rounds, best_loss, True
        patience = self.plan.training.patience
        if validated.loss is not None and validated.loss < best_loss:
            return n_rounds, validated.loss, False
        stop = bool(patience) and n_rounds - best >= patience
        if stop:
            self.folder.note(stopped_early=n_rounds, kept_round=best)
        return best, best_loss, stop

    def _sum(self, request: Request, edges: BinEdges, *, validate: bool) -> Summed:
        self._n_sums += 1
        n_sites = len(self.session.federation.node_ids)
        summed = self.session.sum(
            "tree_sums",
            values={**self.asked, "validate": validate},
            arrays={
                "trees": request.to_arrays(),
                "edges": sent_edges(edges),
            },
            panel=self.panel,
            round_=self._n_sums,
        )
        if summed.n_sites < n_sites:
            raise SecureSumError(
                f"{n_sites - summed.n_sites} of {n_sites} sites were lost within a round of trees: "
                "set on-site-error = wait, or begin anew without them"
            )
        return summed

    def _tell(self, round_: int, n_sites: int, validated: Validated, seconds: float) -> None:
        self.folder.metrics(
            round=round_,
            n_sites=n_sites,
            train_loss=None,
            validation_loss_before=validated.loss,
            **before(validated.figures),
            seconds=round(seconds, 3),
        )
        logger.info("round %d of %d", round_, self.plan.training.rounds)

    def _save(self, forest: Forest, best: int, best_loss: float) -> None:
        values = {
            "rounds": forest.n_rounds,
            "best": best,
            "best_loss": None if np.isinf(best_loss) else best_loss,
        }
        self.checkpoint.save("trees", values, {"trained": state_of_forest(forest)})


def sent_edges(edges: BinEdges) -> dict[str, np.ndarray]:
    """The agreed bins, as a message has them."""
    return {"grid": edges.grid, "kept": edges.kept.astype(np.uint8)}


def validated_in(summed: Summed) -> Validated:
    """What a sum says of the validation cells, if there are any."""
    n = summed.count("n_validation")
    loss = float(summed.values["validation_loss"]) / n if n else None
    return Validated(loss, validation_of(summed.values))
