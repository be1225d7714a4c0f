"""The classifier at the site, with the coordinator's values."""

import numpy as np
import torch

from client.fixed_values import kept
from client.site import Site
from common.classification.plan import ClassifierPlan, classifier_plan
from common.classification.trained import TrainedClassifier
from common.device import resolve_device
from common.models.state import State
from strategies.records import Request


def device_of(site: Site) -> torch.device:
    """The site's device, and torch's threads as the site has set them."""
    torch.set_num_threads(site.node.threads)
    return resolve_device(site.node.device)


def received_plan(site: Site, request: Request) -> ClassifierPlan:
    """The run's; a checkpoint's shape, or a bundle's, is the coordinator's to tell."""
    plan = classifier_plan(site.config)
    return plan.with_shape(request.values["shape"]) if site.config.goes_on else plan


def received_state(site: Site, request: Request) -> State:
    """All values of the classifier: those in the message, and those that the site keeps."""
    return kept(site, request.values["fixed"]) | request.model


def received_logits(site: Site, request: Request, rows: np.ndarray, n_classes: int) -> np.ndarray:
    """Logits of some cells under the received classifier, (n_rows, n_classes)."""
    state = received_state(site, request)
    trained = TrainedClassifier(received_plan(site, request), n_classes, state)
    return trained.logits(site.matrix(request.panel), rows, device_of(site))
