"""Send the sites what of a model no training changes, once."""

from flwr.app import Message

from common.errors import WireError
from common.fixed_values import Values, digest_of_values
from strategies.phase import PhaseStrategy
from strategies.records import values_of


class FixedValues(PhaseStrategy[None]):
    """Let every site keep some values.

    Parameters
    ----------
    values
        By name.
    """

    def __init__(self, values: Values):
        super().__init__("fixed_values", arrays={"fixed": values})
        self.digest = digest_of_values(values)

    def aggregate(self, round_: int, replies: list[Message]) -> None:
        """See that all keep the same.

        Raises
        ------
        WireError
            One keeps others.
        """
        for reply in replies:
            if (kept := values_of(reply.content)["public"]["kept"]) != self.digest:
                raise WireError(
                    f"site {reply.metadata.src_node_id} keeps values of hash {kept!r} and was sent "
                    f"{self.digest!r}: it does not run the same version"
                )
