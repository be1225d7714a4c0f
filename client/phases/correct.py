"""correct: shift, decode and write the site's own cells."""

import numpy as np

from client.corrected_file import write_corrected
from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.coding import decode_chunks, encode
from common.correction import own_references, shift
from report.site_page import try_site_page
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Write ``corrected.h5ad`` in the site's output folder, whole or not at all."""
    values, panel = request.values, request.panel
    model, _, device = received_model(site, request)
    matrix = site.matrix(panel)
    means = request.arrays("references").get("mean")
    references = dict(zip(values["referenced"], means if means is not None else [], strict=True))
    latent = site.kept_latent(panel, model.encoder_digest())
    if latent is None:
        latent = encode(model, matrix, device)
    batches, cell_types = site.file.batches, site.file.cell_types
    least = site.config.min_reference_cells
    references |= own_references(latent, batches, cell_types, values["alone"], least)
    corrected, shifted = shift(latent, batches, cell_types, references)
    kinds = ("decoded", "residual") if site.config.output == "both" else (site.config.output,)
    write_corrected(
        site.file.path,
        site.output_dir / "corrected.h5ad",
        latent=latent,
        latent_corrected=corrected,
        shifted=shifted,
        panel=panel,
        # Without any reference the correction is the identity, not a reconstruction.
        outputs={
            kind: decode_chunks(model, matrix, latent, corrected, kind, device)
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
    outbox.masked("n_cells", np.float64(len(latent)))
    outbox.masked("n_shifted", np.float64(shifted.sum()))
    site.drop_latents()
    if site.simulated:
        site.drop_cache()
