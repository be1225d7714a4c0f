"""The classifier at the site, with the coordinator's values."""

import numpy as np
import torch

from client.site import Site
from common.classification.plan import classifier_plan
from common.classification.trained import TrainedClassifier
from common.device import resolve_device
from strategies.records import Request


def device_of(site: Site) -> torch.device:
    """The site's device, and torch's threads as the site has set them."""
    torch.set_num_threads(site.node.threads)
    return resolve_device(site.node.device)


def received_logits(site: Site, request: Request, rows: np.ndarray, n_classes: int) -> np.ndarray:
    """Logits of some cells under the received classifier, (n_rows, n_classes)."""
    trained = TrainedClassifier(classifier_plan(site.config), n_classes, request.arrays("model"))
    return trained.logits(site.matrix(request.panel), rows, device_of(site))
