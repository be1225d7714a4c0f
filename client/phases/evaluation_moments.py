"""evaluation_moments: where each cell type lies in principal components and in latents."""

import numpy as np

from client.evaluated import scaled_versions
from client.kept_cells import KeptCells
from client.outbox import Outbox
from client.site import Site
from common.federated_evaluation.centres import moment_sums
from common.federated_evaluation.groups import scored_groups
from common.federated_evaluation.type_separation import separation_sums
from common.federated_evaluation.views import View, side_by_side, versions_of, views_of
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Project every version on its axes; send sums of each type in each view."""
    values, n_cells = request.values, request.values["n_cells"]
    kept = KeptCells(site, str(values["run"]))
    _project(site, request, kept)
    batches, cell_types = site.file.batches, site.file.cell_types
    groups = scored_groups(batches, cell_types, values["types"])
    offsets = request.arrays("latent")["mean"]
    versions = versions_of(site.config.output)
    totals, squares, separations = [], [], []
    for view in views_of(site.config.output, offsets.shape[1]):
        cells = kept.read(view.name)
        if view.space == "latent":
            # About the pooled mean: sums are then no larger than what varies.
            cells -= offsets[versions.index(view.version)]
        total, square = moment_sums(cells, groups)
        totals.append(total)
        squares.append(square)
        separations.append(separation_sums(cells, batches, cell_types, n_cells))
    between, within = np.array(separations).T
    outbox.masked("n_batches", np.array([len(rows) for rows in groups], dtype=float))
    outbox.masked("total", side_by_side(totals))
    outbox.masked("squares", np.column_stack(squares))
    outbox.masked("type_between", between)
    outbox.masked("type_total", within)
    if not values["types"]:
        kept.drop()


def _project(site: Site, request: Request, kept: KeptCells) -> None:
    """Keep every version's principal components."""
    axes, versions = request.arrays("axes"), versions_of(site.config.output)
    found: dict[str, list[np.ndarray]] = {version: [] for version in versions}
    run_id = str(request.values["run"])
    for _, cells in scaled_versions(site, request.panel, run_id, versions):
        for number, (version, x) in enumerate(cells.items()):
            centred = x.astype(np.float64) - axes["mean"][number]
            found[version].append(centred @ axes["axes"][number])
    for version, parts in found.items():
        components = np.concatenate(parts)
        kept.keep(View(version, "expression", components.shape[1]).name, components)
