"""peaks: one digit of the site's largest batch of each cell type, as random thermometers."""

from client.outbox import Outbox
from client.site import Site
from common.correction import largest_batches
from strategies.private_max import thermometer
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Enter each type's largest batch, if it has cells enough to be a reference."""
    values = request.values
    types = values["types"]
    largest, n_batches = largest_batches(site.file.batches, site.file.cell_types)
    counts = [largest[t][0].n_cells if t in largest else 0 for t in types]
    counts = [n if n >= site.config.min_reference_cells else 0 for n in counts]
    outbox.masked("thermometer", thermometer(counts, values["higher"]))
    outbox.masked("n_batches", [n_batches.get(t, 0) for t in types])
