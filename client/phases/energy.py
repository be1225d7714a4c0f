"""energy: what the run took at the site so far, from its own log."""

import json
from dataclasses import fields

from client.outbox import Outbox
from client.site import Site
from common.energy import ESTIMATED, Energy
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Send four numbers for a sum over sites, and whether they are estimated."""
    entries = []
    for line in site.outbox_log.read_text().splitlines():
        entry = json.loads(line)
        if entry.get("run") == outbox.run and "energy" in entry:
            entries.append(entry["energy"])
    for field in fields(Energy):
        outbox.masked(field.name, sum(entry[field.name] for entry in entries))
    outbox.masked("n_estimated", int(any(entry["source"] == ESTIMATED for entry in entries)))
