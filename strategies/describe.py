"""describe: what each site has, by name, and the genes and cell types they agree on."""

from dataclasses import dataclass
from typing import Any

from flwr.app import Message

from common.errors import ConfigError
from common.wire import phase_of
from strategies.phase import PhaseStrategy
from strategies.records import values_of


@dataclass(frozen=True)
class SiteDescription:
    """The public fields of one site's description."""

    node_id: int
    site: str
    genes: list[str]
    gene_kind: str
    cell_types: list[str]
    versions: dict[str, str]


class Describe(PhaseStrategy[list[SiteDescription]]):
    """Gather the sites' descriptions, ordered by name."""

    def __init__(self) -> None:
        super().__init__("describe")

    def aggregate(self, round_: int, replies: list[Message]) -> list[SiteDescription]:
        """The descriptions.

        Raises
        ------
        ConfigError
            Two sites have the same name.
        """
        fields = phase_of(self.phase).fields
        sites = []
        for reply in replies:
            public: dict[str, Any] = values_of(reply.content)["public"]
            own = {name: public[name] for name in fields}
            sites.append(SiteDescription(node_id=reply.metadata.src_node_id, **own))
        names = [site.site for site in sites]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"two sites are named {twice[0]!r}; set name in their node-config")
        return sorted(sites, key=lambda site: site.site)
