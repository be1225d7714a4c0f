"""What each form of a network takes, for docs/green.md: `python -m bench.network_sizes`.

Counted over 2,000 genes and 8 classes: parameters, values of a site in a round, and the operations
of a step's forward and backward pass on one cell, which does not hang on the machine.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from common.config import RunConfig
from common.models.build import build_model, exchanged_names
from common.models.classifiers.build import build_classifier, shape_of
from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.registry import CLASSIFIERS
from common.presets import PRESETS, resolve

GENES, CLASSES, CELLS = 2000, 8, 16


class Size(NamedTuple):
    """Of a network: parameters, values exchanged in a round, operations of a step on a cell."""

    parameters: int
    exchanged: int
    operations: float


def classifier_size(name: str, form: str) -> Size:
    """Of a form of a classifier."""
    model = build_classifier(name, shape_of(name, form), GENES, CLASSES, 0)
    if hasattr(model, "selected"):
        model.select(np.arange(len(model.selected)))
    model.take_moments(np.full(GENES, 0.5), np.ones(GENES))
    y = torch.arange(CELLS) % CLASSES
    return _size(model, model.exchanged_names(), y, ClassBalance(), None)


def vae_size(preset: str, form: str) -> Size:
    """Of a preset's network in a form."""
    config = RunConfig.parse({"preset": preset, "vae-form": form}, where="bench")
    resolved = resolve(config)
    return _size(build_model(resolved, GENES, 0), exchanged_names(resolved), None)


def _size(model: nn.Module, exchanged: list[str], *asked: object) -> Size:
    x = torch.rand(CELLS, GENES, generator=torch.Generator().manual_seed(0))
    state, onednn = model.state_dict(), torch._C._get_mkldnn_enabled()
    try:
        # Its recurrent layers are not counted.
        torch._C._set_mkldnn_enabled(False)
        with FlopCounterMode(display=False) as counter:
            terms = model.train().losses(x, *asked)
            sum(terms.values() if isinstance(terms, dict) else terms).backward()
    finally:
        torch._C._set_mkldnn_enabled(onednn)
    n_exchanged = sum(state[name].numel() for name in exchanged)
    n_parameters = sum(p.numel() for p in model.parameters())
    return Size(n_parameters, n_exchanged, counter.get_total_flops() / CELLS)


def rows() -> Iterator[tuple[str, str, Size]]:
    """Of every network that is trained in rounds."""
    for preset in PRESETS:
        for form in ("full", "reduced"):
            yield f"`preset = {preset}`", form, vae_size(preset, form)
    for name in CLASSIFIERS.names():
        if CLASSIFIERS.get(name).fitted == "network":
            for form in CLASSIFIERS.get(name).forms:
                yield f"`{name}`", form, classifier_size(name, form)


def table() -> str:
    """The rows in Markdown; a masked sum takes 8 bytes of a value, or 4."""
    lines = [
        "| network | form | parameters | a site sends, `ring-bits` 64 / 32 | operations per cell |",
        "|---|---|---|---|---|",
    ]
    for network, form, size in rows():
        wide, narrow = (n_bytes * size.exchanged / 1e6 for n_bytes in (8, 4))
        lines.append(
            f"| {network} | `{form}` | {size.parameters:,} | {wide:.2f} / {narrow:.2f} MB | "
            f"{size.operations / 1e6:.2f} million |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
