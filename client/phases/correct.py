"""correct: shift, decode and write the site's own cells."""

import numpy as np
from flwr.app import RecordDict

from client.corrected_file import write_corrected
from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.correction import decode_chunks, encode, shift
from strategies.records import arrays_of, panel_of, values_of


def run(site: Site, request: RecordDict, outbox: Outbox) -> None:
    """Write ``corrected.h5ad`` in the site's output folder, whole or not at all."""
    values, panel = values_of(request), panel_of(request)
    model, _, device = received_model(site, request, panel)
    matrix = site.matrix(panel)
    means = arrays_of(request, "references").get("mean")
    references = dict(zip(values["referenced"], means if means is not None else [], strict=True))
    latent = encode(model, matrix, device)
    corrected, shifted = shift(latent, site.file.batches, site.file.cell_types, references)
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
            "run": values["run"],
            "version": values["version"],
            "shifted_types": values["referenced"],
            "unshifted_types": values["unshifted"],
            **site.keys,
        },
    )
    outbox.masked("n_cells", np.float64(len(latent)))
    outbox.masked("n_shifted", np.float64(shifted.sum()))
    if site.simulated:
        site.drop_cache()
