"""A phase whose replies are only ever seen summed: the secure sum as a Flower strategy.

First trip: every site uploads its masked fields as one ring vector. Second trip, if the backend
reveals: the sites whose uploads arrived are named, and each of them helps to open their sum.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Message, RecordDict

from common.errors import SecureSumError
from common.secure.backend import VECTOR, SumBackend, SumContext
from common.secure.fields import Shapes, unpack
from strategies.phase import PhaseStrategy
from strategies.records import arrays_of, context_value, to_record, values_of

REVEAL = "reveal"


@dataclass(frozen=True)
class Summed:
    """The masked fields of a phase, summed over ``n_sites`` sites; float64, ring fields uint64."""

    values: dict[str, np.ndarray]
    n_sites: int

    def count(self, name: str) -> int:
        """A whole number among the fields."""
        return round(float(self.values[name]))


class SecureSum(PhaseStrategy[Summed]):
    """Sum a phase's masked fields over the sites.

    Parameters
    ----------
    phase
        A phase of :data:`common.wire.PHASES` with masked fields.
    backend
        How vectors travel.
    run
        The run's id; with phase, round and attempt it names the sum.
    min_sites
        Fewer uploads than this open nothing.
    attempt
        Tells apart sums of one phase and round.
    **content
        See :class:`~strategies.phase.PhaseStrategy`.
    """

    def __init__(
        self,
        phase: str,
        *,
        backend: SumBackend,
        run: str,
        min_sites: int,
        attempt: int = 0,
        **content: Any,
    ):
        super().__init__(phase, **content)
        self.backend = backend
        self.run = run
        self.min_sites = min_sites
        self.attempt = attempt
        self._opened: set[SumContext] = set()
        self._start(None)

    def request(self, round_: int, node_ids: list[int]) -> RecordDict:
        """The content, with the identity of the sum."""
        context = SumContext(self.run, self.phase, round_, self.attempt, len(node_ids))
        self._start(context)
        keys = self.backend.request(context, [str(node_id) for node_id in node_ids])
        values = {**self.values, "round": round_, "sum": context_value(context), "keys": keys}
        return to_record(values, self.arrays)

    def _start(self, context: SumContext | None) -> None:
        self._context = context
        self._total: np.ndarray | None = None
        self._shapes: Shapes = {}
        self._uploads: list[str] = []

    def receive(self, reply: Message) -> None:
        """Add an upload to the running sum and take it out of the reply, to free its memory.

        Raises
        ------
        SecureSumError
            It does not fit the uploads before it, or the site has uploaded already.
        """
        site = str(reply.metadata.src_node_id)
        vector = arrays_of(reply.content, "upload").get(VECTOR)
        if vector is None:
            raise SecureSumError(f"{self.phase}: site {site} answered without an upload")
        del reply.content["upload"]
        if site in self._uploads:
            raise SecureSumError(f"{self.phase}: site {site} uploaded twice")
        if vector.dtype != np.uint64 or vector.ndim != 1:
            raise SecureSumError(
                f"{self.phase}: site {site} sent {vector.dtype} {vector.shape}, not ring words"
            )
        values = values_of(reply.content)
        shapes = {name: tuple(s) for name, s in values["shapes"].items()}
        if self._total is None:
            self._total, self._shapes = vector.copy(), shapes
        elif (shapes, vector.shape) != (self._shapes, self._total.shape):
            raise SecureSumError(
                f"{self.phase}: site {site} sent fields of different shapes than the sites before "
                f"it: {shapes} in {len(vector)} words, not {self._shapes} in {len(self._total)}; "
                "they do not run the same version or the same genes"
            )
        else:
            np.add(self._total, vector, out=self._total)
        self.backend.receive(site, values["public"])
        self._uploads.append(site)

    def configure_reveal(self, replies: list[Message]) -> list[Message]:
        """Ask each survivor to help opening the sum over exactly these survivors."""
        if not self.backend.reveals:
            return []
        self._enough(replies)
        survivors = [str(reply.metadata.src_node_id) for reply in replies]
        content = to_record(self.backend.reveal_request(survivors), {})
        return self.messages(REVEAL, content, [r.metadata.src_node_id for r in replies])

    def aggregate(self, round_: int, replies: list[Message]) -> Summed:
        """Open the sum over the sites that uploaded.

        Raises
        ------
        SecureSumError
            Too few sites, uploads that do not fit each other, or a sum opened twice.
        """
        context = self._context
        reveals = {}
        for reply in replies:
            site = str(reply.metadata.src_node_id)
            if reply.metadata.message_type.endswith(f".{REVEAL}"):
                reveals[site] = values_of(reply.content)["public"]
            elif site not in self._uploads:
                self.receive(reply)
        self._enough(self._uploads)
        if context in self._opened:
            raise SecureSumError(f"the sum {context} was opened before")
        self._opened.add(context)
        vector = self.backend.open(self._total, self._uploads, reveals, context)
        return Summed(unpack(self.phase, vector, self._shapes, context.n_sites), len(self._uploads))

    def _enough(self, uploads: Any) -> None:
        if len(uploads) < max(self.min_sites, 1):
            raise SecureSumError(
                f"{self.phase}: {len(uploads)} sites answered and min-sites is {self.min_sites}: "
                "nothing is opened"
            )
