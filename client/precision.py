"""In which precision the site trains, told to its own log and, as a count, to the coordinator."""

import logging

import torch

from client.outbox import Outbox
from client.site import Site
from common.precision import Precision, precision_of

logger = logging.getLogger("syncytium.site")


def precision_at(site: Site, device: torch.device, outbox: Outbox) -> Precision:
    """The run's, or float32 where the device has no other; fills ``n_float32``."""
    precision = precision_of(site.config.precision, device)
    if precision.reason:
        outbox.local(float32=precision.reason)
        logger.warning("%s trains in float32: %s", site.name, precision.reason)
    outbox.masked("n_float32", int(bool(precision.reason)))
    return precision
