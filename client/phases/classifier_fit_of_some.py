"""classifier_fit_of_some: as classifier_fit, without the counts by class."""

from client.outbox import Outbox
from client.phases.classifier_fit import fit
from client.site import Site
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Contribute this site's share of the mean change of the classifier, or of its gradient."""
    fit(site, request, outbox)
