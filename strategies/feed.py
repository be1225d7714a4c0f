"""Drive Flower's training strategies from outside its own loop: one round in, the new values out.

A strategy is asked to configure a round, where it takes note of the values that the round starts
from, and then to aggregate replies, as ``Strategy.start`` would. The messages that it configures
are not sent: the sites were asked by the secure sum.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from common.errors import SecureSumError
from common.models.state import State
from strategies.records import from_array, to_array


@dataclass(frozen=True)
class Reply:
    """What a strategy is fed: values and the number of training cells they stand for.

    ``message`` is any reply of the round, to which this one is made alike.
    """

    state: State
    n_train: int
    message: Message


class _TwoNodes:
    """A Grid as far as configuring a round reads it; Flower's strategies wait for two nodes."""

    def get_node_ids(self) -> Iterable[int]:
        return [1, 2]


def feed(strategy: Strategy, round_: int, before: State, replies: list[Reply]) -> State:
    """The values after a round.

    Parameters
    ----------
    strategy
        The same object in every round: it may keep momentum.
    round_
        Counted from 1.
    before
        The values that the sites started from, of the names that the strategy is to change.
    replies
        With the same names.

    Returns
    -------
    state
        The names of ``before``, in their dtypes.

    Raises
    ------
    SecureSumError
        The strategy did not return them.
    """
    grid = cast(Grid, _TwoNodes())
    strategy.configure_train(round_, _record(before), ConfigRecord(), grid)
    messages = [
        Message(
            RecordDict(
                {
                    "arrays": _record({name: reply.state[name] for name in before}),
                    "metrics": MetricRecord({"num-examples": reply.n_train}),
                }
            ),
            reply_to=reply.message,
        )
        for reply in replies
    ]
    arrays, _ = strategy.aggregate_train(round_, messages)
    if arrays is None or set(arrays) != set(before):
        raise SecureSumError(f"{type(strategy).__name__} returned no model")
    return {name: _as(from_array(arrays[name]), value) for name, value in before.items()}


def _record(state: State) -> ArrayRecord:
    return ArrayRecord({name: to_array(value) for name, value in state.items()})


def _as(value: np.ndarray, like: Any) -> np.ndarray:
    return np.asarray(value, dtype=like.dtype)
