"""Bagged trees: every round the sites' own, averaged, in the place of sums for each level."""

import time
from functools import partial
from typing import Any

import numpy as np

from common.boosting.bagging import bagged
from common.boosting.bins import BinEdges
from common.boosting.forest import Forest
from common.boosting.forest_state import state_of_forest
from common.boosting.grower import Grower
from common.models.state import State
from server.trees import TreeRounds, sent_edges, validated_in
from strategies.bagged_round import BaggedRound


class BaggedTreeRounds(TreeRounds):
    """The rounds of a forest that is not the pooled one, at one message a round."""

    def _grow(self, grower: Grower, edges: BinEdges, kept: dict[str, Any]) -> State:
        forest, best = grower.forest, kept["best"]
        best_loss = np.inf if kept["best_loss"] is None else kept["best_loss"]
        self.folder.keep_rounds(forest.n_rounds)
        while forest.n_rounds < self.plan.training.rounds:
            began = time.monotonic()
            phase, summed, _ = self.session.run(
                partial(self._round, forest, edges), forest.n_rounds + 1
            )
            validated = validated_in(summed)
            best, best_loss, stop = self.best_of(forest.n_rounds, validated, best, best_loss)
            if stop:
                return state_of_forest(forest.rounds(0, best))
            forest = bagged(forest, phase.trees(forest))
            self._tell(forest.n_rounds, summed.n_sites, validated, time.monotonic() - began)
            self._save(forest, best, best_loss)
        return state_of_forest(forest)

    def _round(self, forest: Forest, edges: BinEdges) -> BaggedRound:
        arrays = {"forest": state_of_forest(forest), "edges": sent_edges(edges)}
        return BaggedRound(
            values=self.asked, arrays=arrays, panel=self.panel, **self.session.settings()
        )
