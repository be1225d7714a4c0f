"""One site's cells corrected by a model and references, and its file written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from client.corrected_file import write_corrected
from client.latents import latents_of
from client.site import Site
from common.coding import decode_chunks
from common.correction import correct_latent, own_references
from common.data.padding import padding
from common.nearest_labels import nearest_labels
from common.panel import Panel
from common.presets import Preset
from common.reference import Reference
from common.remainder import adjustment, with_own_remainders
from common.shift_labels import ShiftLabels
from report.site_page import CORRECTED, try_site_page


@dataclass(frozen=True)
class Corrected:
    """What was done with a site's cells.

    Parameters
    ----------
    counts
        Cells, by the names of the fields of the phase ``correct`` in common/wire.py.
    by_own_batches
        Types without a reference of the federation, shifted by the site's own batches.
    page_fault
        Why the site has no page; "" if nothing went wrong.
    """

    counts: dict[str, int]
    by_own_batches: list[str]
    page_fault: str


def correct_site(
    site: Site,
    panel: Panel,
    model: nn.Module,
    preset: Preset,
    device: torch.device,
    references: dict[str, Reference],
    *,
    alone: Sequence[str],
    unshifted: Sequence[str],
    origin: dict[str, Any],
) -> Corrected:
    """Write ``corrected.h5ad`` in the site's output folder, whole or not at all, and its page.

    Parameters
    ----------
    references
        Of the shared types.
    alone
        Types that no other site holds, which the site's own batches may shift.
    unshifted
        Types without a reference, these among them.
    origin
        Entries of ``uns["syncytium"]``: run, version and bundle.
    """
    matrix = site.matrix(panel)
    latents = latents_of(site, panel, model, preset, device)
    batches, cell_types = site.file.batches, site.file.cell_types
    aligned = preset.alignment == "covariance"
    least = site.config.min_reference_cells
    own = own_references(latents.smoothed, batches, cell_types, list(alone), least, aligned)
    references = references | own
    # Without any reference the correction is the identity, not a reconstruction.
    before = latents.smoothed if references else latents.encoded
    nearest = None
    if site.config.unlabelled == "nearest":
        nearest = nearest_labels(latents.encoded, batches, cell_types, device)
    labels = ShiftLabels(site.file.labels, nearest)
    corrected, shifted = correct_latent(before, batches, cell_types, references, labels.cell_types)
    kinds = ("decoded", "residual") if site.config.output == "both" else (site.config.output,)
    adjusted = None
    if references and "residual" in kinds:
        cells, steering = (model, matrix, before), (batches, cell_types)
        references = with_own_remainders(*cells, *steering, references, alone, least, device)
        adjusted = adjustment(
            *cells, corrected, *steering, references, device, shifted_as=labels.cell_types
        )
    lacks = padding(panel, site.file.genes)
    write_corrected(
        site.file.path,
        site.output_dir / CORRECTED,
        latent=latents.encoded,
        latent_corrected=corrected,
        obs=labels.columns(shifted),
        panel=panel,
        outputs={
            kind: decode_chunks(model, matrix, before, corrected, kind, device, adjusted)
            if references
            else (matrix.log(rows) for rows in matrix.chunks())
            for kind in kinds
        },
        about={
            **origin,
            "shifted_types": [str(name) for name in references],
            "unshifted_types": [str(name) for name in unshifted if name not in references],
            "padded_genes": list(lacks.genes),
            "unlabelled": site.config.unlabelled,
            **site.keys,
        },
    )
    fault = ""
    if site.node.report and not site.simulated:
        fault = try_site_page(site.output_dir)
    site.drop_latents()
    return Corrected(labels.counts(shifted), list(own), fault)
