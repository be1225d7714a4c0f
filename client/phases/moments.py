"""moments: sums of log1p CP10k and of CP10k over the site's cells."""

from client.outbox import Outbox
from client.site import Site
from common.data.csr import row_chunks
from common.data.moments import site_sums
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Read the counts once."""
    vocabulary = request.values["vocabulary"]
    chunks = row_chunks(site.counts(vocabulary))
    for name, value in site_sums(chunks, len(vocabulary)).items():
        outbox.masked(name, value)
