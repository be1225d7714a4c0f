"""correct: shift, decode and write the site's own cells."""

import numpy as np

from client.corrected_file import write_corrected
from client.latents import latents_of
from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.coding import decode_chunks
from common.correction import correct_latent, own_references
from common.reference import unpacked
from report.site_page import try_site_page
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Write ``corrected.h5ad`` in the site's output folder, whole or not at all."""
    values, panel = request.values, request.panel
    model, preset, device = received_model(site, request)
    matrix = site.matrix(panel)
    latents = latents_of(site, panel, model, preset, device)
    batches, cell_types = site.file.batches, site.file.cell_types
    aligned = preset.alignment == "covariance"
    references = unpacked(values["referenced"], request.arrays("references"))
    least = site.config.min_reference_cells
    references |= own_references(
        latents.smoothed, batches, cell_types, values["alone"], least, aligned
    )
    # Without any reference the correction is the identity, not a reconstruction.
    before = latents.smoothed if references else latents.encoded
    corrected, shifted = correct_latent(before, batches, cell_types, references)
    kinds = ("decoded", "residual") if site.config.output == "both" else (site.config.output,)
    write_corrected(
        site.file.path,
        site.output_dir / "corrected.h5ad",
        latent=latents.encoded,
        latent_corrected=corrected,
        shifted=shifted,
        panel=panel,
        outputs={
            kind: decode_chunks(model, matrix, before, corrected, kind, device)
            if references
            else (matrix.log(rows) for rows in matrix.chunks())
            for kind in kinds
        },
        about={
            "run": str(values["run"]),
            "version": str(values["version"]),
            "shifted_types": [str(name) for name in references],
            "unshifted_types": [
                str(name) for name in values["unshifted"] if name not in references
            ],
            **site.keys,
        },
    )
    if site.node.report and not site.simulated and (fault := try_site_page(site.output_dir)):
        # Of the site's own file: not for a log that is collected.
        outbox.local(report=fault)
    outbox.masked("n_cells", np.float64(len(corrected)))
    outbox.masked("n_shifted", np.float64(shifted.sum()))
    site.drop_latents()
    # The evaluation reads the preprocessed matrix once more.
    if site.simulated and not site.config.evaluate:
        site.drop_cache()
