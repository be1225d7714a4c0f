"""The model of a message, rebuilt at the site."""

import torch
from flwr.app import RecordDict
from torch import nn

from client.site import Site
from common.device import resolve_device
from common.models.build import build_model
from common.models.state import load_state
from common.panel import Panel
from common.presets import Preset, resolve
from strategies.records import arrays_of


def received_model(
    site: Site, request: RecordDict, panel: Panel
) -> tuple[nn.Module, Preset, torch.device]:
    """The network with the coordinator's values, the run's preset, and the site's device."""
    device = resolve_device(site.node.device)
    torch.set_num_threads(site.node.threads)
    preset = resolve(site.config)
    model = build_model(preset, len(panel.genes), site.config.seed)
    load_state(model, arrays_of(request, "model"))
    return model, preset, device
