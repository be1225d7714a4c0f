"""The key phases at a run's start: the sites' identities, and what each backend exchanges then."""

from flwr.app import Message

from common.errors import SecureSumError
from common.secure.backend import Values
from common.secure.masked import MaskedBackend
from strategies.phase import PhaseStrategy
from strategies.records import values_of


class Identities(PhaseStrategy[dict[str, Values]]):
    """Gather the public halves of each site's keys for this run."""

    def __init__(self) -> None:
        super().__init__("identities")

    def aggregate(self, round_: int, replies: list[Message]) -> dict[str, Values]:
        """Their public fields by the sites' names in the sums."""
        return {
            str(reply.metadata.src_node_id): values_of(reply.content)["public"] for reply in replies
        }


class Meet(PhaseStrategy[None]):
    """Tell the sites of each other."""

    def __init__(self, identities: dict[str, Values]):
        super().__init__("meet", values={"identities": identities})

    def aggregate(self, round_: int, replies: list[Message]) -> None:
        """See that all took the same.

        Raises
        ------
        SecureSumError
            They did not.
        """
        taken = {values_of(reply.content)["public"]["identities"] for reply in replies}
        if len(taken) > 1:
            raise SecureSumError("the sites took different identities; run again")


class FirstOffers(PhaseStrategy[None]):
    """Tell the sites of each other and take their keys for the first sum.

    Parameters
    ----------
    backend
        Receives them.
    identities
        What :class:`Identities` gave.
    """

    def __init__(self, backend: MaskedBackend, identities: dict[str, Values]):
        values = {"identities": identities, **backend.first_offers(list(identities))}
        super().__init__("offers", values=values)
        self.backend = backend

    def aggregate(self, round_: int, replies: list[Message]) -> None:
        """Hand them to the backend."""
        for reply in replies:
            site, public = str(reply.metadata.src_node_id), values_of(reply.content)["public"]
            self.backend.offered(0, site, public)
