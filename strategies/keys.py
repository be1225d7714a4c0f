"""The key phases of a run with masked sums: the sites' identities, and keys for the first sum."""

from flwr.app import Message

from common.secure.masked import MaskedBackend
from strategies.phase import PhaseStrategy
from strategies.records import values_of


class Identities(PhaseStrategy[dict[str, str]]):
    """Gather each site's public key for this run."""

    def __init__(self) -> None:
        super().__init__("identities")

    def aggregate(self, round_: int, replies: list[Message]) -> dict[str, str]:
        """The keys by site, in hexadecimal."""
        return {
            str(reply.metadata.src_node_id): values_of(reply.content)["public"]["identity"]
            for reply in replies
        }


class FirstOffers(PhaseStrategy[None]):
    """Tell the sites of each other and take their keys for the first sum.

    Parameters
    ----------
    backend
        Receives them.
    identities
        What :class:`Identities` gave.
    """

    def __init__(self, backend: MaskedBackend, identities: dict[str, str]):
        super().__init__("offers", values=backend.introduce(identities))
        self.backend = backend

    def aggregate(self, round_: int, replies: list[Message]) -> None:
        """Hand them to the backend."""
        for reply in replies:
            site, public = str(reply.metadata.src_node_id), values_of(reply.content)["public"]
            self.backend.offered(0, site, public)
