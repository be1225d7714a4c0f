"""evaluation_axes: how well the model reconstructs cells, and where corrected expression varies."""

import numpy as np
import torch

from client.evaluated import scaled_versions
from client.kept_cells import KeptCells
from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.coding import CHUNK
from common.device import memory_guard
from common.federated_evaluation.axes import sketch_sums, test_matrix
from common.federated_evaluation.groups import scored_groups
from common.federated_evaluation.reconstruction import ReconstructionSums
from common.federated_evaluation.views import UNCORRECTED, View, versions_of
from strategies.records import Request


@torch.no_grad()
def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Read the corrected file once; keep every version as the final model encodes it."""
    values, panel = request.values, request.panel
    n_cells, run_id = values["n_cells"], str(values["run"])
    model, preset, device = received_model(site, request)
    model.to(device).eval()
    batches, cell_types = site.file.batches, site.file.cell_types
    validation = np.zeros(len(batches), dtype=bool)
    validation[site.split(preset.training.validation_share).validation] = True
    reconstruction = ReconstructionSums(validation, list(zip(batches, cell_types, strict=True)))
    versions, projections = versions_of(site.config.output), test_matrix(len(panel.genes))
    total = np.zeros((len(versions), len(panel.genes)))
    sketch = np.zeros((*total.shape, projections.shape[1]))
    latents: dict[str, list[np.ndarray]] = {version: [] for version in versions}
    with memory_guard(device, CHUNK):
        for rows, cells in scaled_versions(site, panel, run_id, versions):
            for number, (version, x) in enumerate(cells.items()):
                latent = model.encode(torch.from_numpy(x).to(device))[0]
                latents[version].append(latent.cpu().numpy())
                for sums, one in zip((total, sketch), sketch_sums(x, projections), strict=True):
                    sums[number] += one
                if version == UNCORRECTED:
                    reconstruction.add(rows, x, model.decode(latent).cpu().numpy())
    kept, means = KeptCells(site, run_id), []
    kept.begin()
    for version, parts in latents.items():
        latent = np.concatenate(parts)
        kept.keep(View(version, "latent", latent.shape[1]).name, latent)
        means.append(latent.sum(axis=0, dtype=np.float64) / n_cells)
    holders = scored_groups(batches, cell_types, values["types"])
    outbox.masked("n_cells", len(batches))
    outbox.masked("n_holders", np.array([bool(groups) for groups in holders], dtype=np.float64))
    for name, value in reconstruction.sums(n_cells).items():
        outbox.masked(name, value)
    outbox.masked("expression", total, 1 / n_cells)
    outbox.masked("sketch", sketch, 1 / n_cells)
    outbox.masked("latent", np.array(means))
