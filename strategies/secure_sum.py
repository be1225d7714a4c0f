"""A phase whose replies are only ever seen summed: the secure sum as a Flower strategy.

First trip: every site uploads its masked fields as one ring vector. Further trips are the
backend's, with the sites whose uploads arrived: they help to open the sum over exactly these.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Message, RecordDict

from common.errors import SecureSumError
from common.secure.backend import Parcel, SumBackend, SumContext
from common.secure.fields import Shapes, n_words, unpack
from common.wire import phase_of
from strategies.phase import PhaseStrategy, message_to
from strategies.records import arrays_of, content_digest, context_value, to_record, values_of

UPLOAD = "upload"


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
    ring_bits
        Of the fields that may be narrow: 64 or 32.
    settings
        A hash of the run's settings, which all sites must have alike.
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
        ring_bits: int = 64,
        settings: str = "",
        **content: Any,
    ):
        super().__init__(phase, **content)
        self.backend = backend
        self.run = run
        self.min_sites = min_sites
        self.attempt = attempt
        self.ring_bits = ring_bits
        self.settings = settings
        self._opened: set[SumContext] = set()
        self._start(None)

    def request(self, round_: int, node_ids: list[int]) -> RecordDict:
        """The content, with the identity of the sum."""
        values = {**self.values, "round": round_}
        digest = content_digest(values, self.arrays, self.settings)
        identity = (self.run, self.phase, round_, self.attempt)
        context = SumContext(*identity, len(node_ids), self.ring_bits, digest)
        self._start(context)
        keys = self.backend.request(context, [str(node_id) for node_id in node_ids])
        return to_record({**values, "sum": context_value(context), "keys": keys}, self.arrays)

    def _start(self, context: SumContext | None) -> None:
        self._context = context
        self._shapes: Shapes = {}
        self._uploads: list[str] = []
        self._trips = iter(self.backend.trips)
        self._trip: str | None = None

    def receive(self, reply: Message) -> None:
        """Give an upload to the backend and take it out of the reply, to free its memory.

        Raises
        ------
        SecureSumError
            It does not fit the uploads before it, or the site has uploaded already.
        """
        site = _site(reply)
        arrays = arrays_of(reply.content, UPLOAD)
        if not arrays:
            raise SecureSumError(f"{self.phase}: site {site} answered without an upload")
        del reply.content[UPLOAD]
        if site in self._uploads:
            raise SecureSumError(f"{self.phase}: site {site} uploaded twice")
        values = values_of(reply.content)
        shapes = {name: tuple(s) for name, s in values["shapes"].items()}
        if self._uploads and shapes != self._shapes:
            raise SecureSumError(
                f"{self.phase}: site {site} sent fields of different shapes than the sites before "
                f"it: {shapes}, not {self._shapes}; they do not run the same version or the same "
                "genes"
            )
        self._shapes = shapes
        context = self._context
        size = n_words(self.phase, shapes, context.n_sites, context.ring_bits)
        self.backend.receive(site, Parcel(values["public"], arrays), size)
        self._uploads.append(site)

    def follow_up(self, replies: list[Message]) -> list[Message]:
        """The backend's next trip, to the sites that answered the one before."""
        self._take(replies)
        self._enough(replies)
        self._all_or_none()
        self._trip = next(self._trips, None)
        if self._trip is None:
            return []
        asked = self.backend.ask(self._trip, self._uploads, [_site(reply) for reply in replies])
        contents = {
            site: to_record(parcel.public, {UPLOAD: parcel.arrays} if parcel.arrays else {})
            for site, parcel in asked.items()
        }
        return [message_to(int(site), self._trip, record) for site, record in contents.items()]

    def _take(self, replies: list[Message]) -> None:
        for reply in replies:
            if self._trip is not None:
                parcel = Parcel(
                    values_of(reply.content)["public"], arrays_of(reply.content, UPLOAD)
                )
                self.backend.take(self._trip, _site(reply), parcel)
            elif _site(reply) not in self._uploads:
                self.receive(reply)

    def aggregate(self, round_: int, replies: list[Message]) -> Summed:
        """Open the sum over the sites that uploaded; ``replies`` are looked at by the trips.

        Raises
        ------
        SecureSumError
            Too few sites, uploads that do not fit each other, or a sum opened twice.
        """
        if self._trip is None:
            self._take(replies)
        context = self._context
        self._enough(self._uploads)
        if context in self._opened:
            raise SecureSumError(f"the sum {context} was opened before")
        self._opened.add(context)
        vector = self.backend.open(self._uploads)
        return Summed(self._unpack(vector), len(self._uploads))

    def _unpack(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        context = self._context
        return unpack(self.phase, vector, self._shapes, context.n_sites, context.ring_bits)

    def _all_or_none(self) -> None:
        """Before any site is asked to open what it would refuse to."""
        may_lose = phase_of(self.phase).may_lose or not self.backend.masks
        n_answered, n_asked = len(self._uploads), self._context.n_sites
        if not may_lose and n_answered < n_asked:
            raise SecureSumError(
                f"{self.phase}: {n_answered} of {n_asked} sites answered, and beside earlier sums "
                "the sum over them would show the others' part"
            )

    def _enough(self, uploads: Any) -> None:
        if len(uploads) < max(self.min_sites, 1):
            raise SecureSumError(
                f"{self.phase}: {len(uploads)} sites answered and min-sites is {self.min_sites}: "
                "nothing is opened"
            )


def _site(reply: Message) -> str:
    return str(reply.metadata.src_node_id)
