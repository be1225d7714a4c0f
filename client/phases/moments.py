"""moments: sums of log1p CP10k and of CP10k over the site's cells."""

from client.outbox import Outbox
from client.site import Site
from common.data.csr import row_chunks
from common.data.moments import site_sums
from common.errors import GeneError
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Read the counts once."""
    vocabulary = request.values["vocabulary"]
    lacking = len(set(vocabulary) - set(site.file.genes)) / max(len(vocabulary), 1)
    allowed = site.config.max_padded if site.config.gene_join == "union" else 0.0
    if lacking > allowed:
        # Of genes that others lack, the sums would be one site's.
        raise GeneError(
            f"{site.file.path}: {lacking:.0%} of the genes asked for are not here; the run allows "
            f"{allowed:.0%}",
            public=f"the site lacks {lacking:.0%} of the genes asked for, the run allows "
            f"{allowed:.0%}",
        )
    chunks = row_chunks(site.counts(vocabulary))
    for name, value in site_sums(chunks, len(vocabulary)).items():
        outbox.masked(name, value)
