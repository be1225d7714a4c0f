"""The model of a message, rebuilt at the site."""

import torch
from torch import nn

from client.site import Site
from common.device import resolve_device
from common.models.build import restore_model
from common.presets import Preset, resolve
from strategies.records import Request


def received_model(site: Site, request: Request) -> tuple[nn.Module, Preset, torch.device]:
    """The network with the coordinator's values, the run's preset, and the site's device."""
    device = resolve_device(site.node.device)
    torch.set_num_threads(site.node.threads)
    preset = resolve(site.config)
    model = restore_model(preset, len(request.panel.genes), request.arrays("model"))
    return model, preset, device
