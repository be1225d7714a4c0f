"""evaluation_features: features of each type's cells that tell whole distributions apart."""

import numpy as np

from client.kept_cells import KeptCells
from client.outbox import Outbox
from client.site import Site
from common.federated_evaluation.between import BatchSums
from common.federated_evaluation.centres import received_centres
from common.federated_evaluation.fourier import fourier_features
from common.federated_evaluation.groups import scored_groups
from common.federated_evaluation.probe import product_sums
from common.federated_evaluation.second_moments import product_features
from common.federated_evaluation.views import side_by_side, views_of
from strategies.records import Request

FAMILIES = {"fourier": fourier_features, "products": product_features}


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Send sums over each type's batches, about the mean of all sites' batches of the type."""
    values = request.values
    kept = KeptCells(site, str(values["run"]))
    groups = scored_groups(site.file.batches, site.file.cell_types, values["types"])
    views = views_of(site.config.output, values["latent_dim"])
    centres = received_centres(request.arrays("centres"), views)
    sums: dict[str, list[np.ndarray]] = {}
    for view in views:
        cells = kept.read(view.name)
        # By field, a row for each type.
        found: dict[str, list[np.ndarray]] = {}
        products = []
        for number, batches in enumerate(groups):
            standard = centres[view].standard(cells, number)
            for name, features in FAMILIES.items():
                own = BatchSums.of(standard, batches, features)
                found.setdefault(name, []).append(own.total)
                for kind in ("squares", "within", "chance"):
                    found.setdefault(f"{name}_{kind}", []).append(np.array([getattr(own, kind)]))
            products.append(product_sums(standard, batches))
        for name, by_type in found.items():
            sums.setdefault(name, []).append(np.array(by_type))
        sums.setdefault("probe_products", []).append(np.sum(products, axis=0))
    for name, by_view in sums.items():
        outbox.masked(name, side_by_side(by_view))
