"""describe: the site's genes, cell types and versions, by name."""

import platform
from functools import cache
from importlib.metadata import version

from client.outbox import Outbox
from client.site import Site
from client.site_labels import labelled_types
from strategies.records import Request

PACKAGES = ("flwr", "torch", "anndata", "numpy", "scipy")


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Open the file, which checks it, and send names only."""
    types = labelled_types(site)
    if site.config.task == "synthesize":
        from client.release import require_ready

        require_ready(site)
        # Where classes are public, who holds which is nobody's to know.
        types = [] if site.config.classes else types
    outbox.public("site", site.name)
    outbox.public("genes", sorted(site.file.genes))
    outbox.public("gene_kind", site.file.gene_kind)
    outbox.public("cell_types", types)
    outbox.public("versions", _versions())


@cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
