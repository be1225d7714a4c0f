"""A phase as a Flower strategy: one message to every site, one result from the replies."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from common.panel import Panel
from common.wire import phase_of
from strategies.records import panel_parts, to_record

Result = TypeVar("Result")


def message_to(node_id: int, phase: str, content: RecordDict) -> Message:
    """A message of a phase to a node."""
    kind = "train" if phase_of(phase).train else "query"
    return Message(content, dst_node_id=node_id, message_type=f"{kind}.{phase}")


class PhaseStrategy(Strategy, Generic[Result]):
    """Base of the phases.

    A subclass says what is sent (:meth:`request`) and what the replies mean (:meth:`aggregate`).
    :class:`server.federation.Federation` drives it; since it is a Flower strategy, so can any
    other Flower loop.

    Parameters
    ----------
    phase
        A phase of :data:`common.wire.PHASES`.
    values
        JSON-serialisable values sent to every site.
    arrays
        Groups of arrays sent to every site.
    panel
        Genes and scaling, where the phase needs them.
    """

    def __init__(
        self,
        phase: str,
        *,
        values: dict[str, Any] | None = None,
        arrays: dict[str, dict[str, np.ndarray]] | None = None,
        panel: Panel | None = None,
    ):
        self.phase = phase
        self.values = dict(values or {})
        self.arrays = dict(arrays or {})
        if panel is not None:
            self.values["panel"], self.arrays["panel"] = panel_parts(panel)

    def request(self, round_: int, node_ids: list[int]) -> RecordDict:
        """The content sent to each of ``node_ids``."""
        return to_record({**self.values, "round": round_}, self.arrays)

    def receive(self, reply: Message) -> None:
        """Look at a reply as it arrives, while other sites still work; by default do nothing."""

    def follow_up(self, replies: list[Message]) -> list[Message]:
        """Messages of a further trip, made from the replies of the one before; none by default."""
        return []

    @abstractmethod
    def aggregate(self, round_: int, replies: list[Message]) -> Result:
        """The phase's result from the replies of its last trip."""

    def messages(self, content: RecordDict, node_ids: Iterable[int]) -> list[Message]:
        """One message of the phase with ``content`` to each node."""
        return [message_to(node_id, self.phase, content) for node_id in node_ids]

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Flower's interface: the messages of the phase."""
        node_ids = list(grid.get_node_ids())
        return self.messages(self.request(server_round, node_ids), node_ids)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Flower's interface: :meth:`aggregate`, as records where it has arrays."""
        result = self.aggregate(server_round, [r for r in replies if r.has_content()])
        return getattr(result, "arrays", None), getattr(result, "metrics", None)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Nothing: a phase answers in one exchange, evaluation included."""
        return []

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Nothing to aggregate."""
        return None

    def summary(self) -> None:
        """Nothing to log."""
