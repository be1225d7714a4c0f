"""The end of a correction: how good it is, by four sums over sites, as a file of the run folder.

The run is done without it: where it cannot be had the reason is kept, and the run ends as it would.
"""

import json
import logging
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from common.config import RunConfig
from common.errors import SecureSumError, SyncytiumError
from common.federated_evaluation.axes import N_AXES, axes_of
from common.federated_evaluation.centres import packed_centres
from common.federated_evaluation.figures import (
    Sums,
    batch_figures,
    centres_of,
    mean_over_types,
    probes_of,
    type_figures,
)
from common.federated_evaluation.fourier import N_FEATURES
from common.federated_evaluation.groups import LEAST_CELLS
from common.federated_evaluation.reconstruction import explained_by_model
from common.federated_evaluation.scores import FIGURES, score
from common.federated_evaluation.views import SPACES, UNCORRECTED, View, versions_of, views_of
from common.models.state import State
from common.panel import Panel
from common.presets import Preset
from report.federated_evaluation import FILE
from server.runs import RunFolder
from server.session import Session
from strategies.describe import SiteDescription
from strategies.secure_sum import Summed

logger = logging.getLogger("syncytium.server")


def evaluate(
    session: Session,
    config: RunConfig,
    preset: Preset,
    folder: RunFolder,
    sites: list[SiteDescription],
    state: State,
    panel: Panel,
    n_cells: int,
) -> None:
    """Evaluate the corrected cells, or note why not.

    Parameters
    ----------
    sites
        As they described themselves at the run's begin.
    state, panel, n_cells
        The final model, its genes, and the cells of all sites.
    """
    evaluation = Evaluation(session, config, preset, panel, n_cells)
    start = time.monotonic()
    try:
        result = evaluation.run(sites, state)
    except SyncytiumError as error:
        logger.warning("the correction is not evaluated: %s", error)
        result = {"evaluated": False, "reason": str(error)}
    result["seconds"] = round(time.monotonic() - start, 2)
    partial = folder.path / f".{FILE}.part"
    partial.write_text(json.dumps(result, indent=1, allow_nan=False))
    partial.replace(folder.path / FILE)


@dataclass
class Evaluation:
    """The phases of an evaluation, each one sum over all sites."""

    session: Session
    config: RunConfig
    preset: Preset
    panel: Panel
    n_cells: int

    def __post_init__(self) -> None:
        self.views = views_of(self.config.output, self.preset.shape.latent_dim)
        self.asked = {"run": self.session.run_id, "n_cells": self.n_cells}

    def run(self, sites: list[SiteDescription], state: State) -> dict[str, Any]:
        """What is written.

        Raises
        ------
        SiteFailure, SecureSumError
            A site was lost, or refused.
        """
        if not self.session.complete():
            raise SecureSumError(
                "a site was lost; beside the sums of earlier phases, sums over the others would "
                "show its part"
            )
        types, left_out = self.types_of_enough_sites(sites)
        axes = self.axes(types, state)
        few = f"fewer than {self.least_sites} sites have {LEAST_CELLS} cells of it in a batch"
        for name, n_sites in zip(types, axes.values["n_holders"], strict=True):
            if n_sites < self.least_sites:
                left_out[name] = few
        types = [name for name in types if name not in left_out]
        moments = self.moments(types, axes).values
        figures = type_figures(moments, self.views, moments["n_batches"])
        by_view: dict[View, dict[str, list[float | None]]] = {view: {} for view in self.views}
        if types:
            by_view = self.batches(types, moments, axes, figures)
        compared = dict(zip(types, moments["n_batches"].astype(int).tolist(), strict=True))
        return self.result(axes, compared, left_out, figures, by_view)

    @property
    def least_sites(self) -> int:
        """Sites that must hold a type: ``min-sites``, and one more than two.

        A reference shows the mean of one batch of its type, so that a sum over two sites would show
        the other's.
        """
        masked = self.config.secure_sum != "off"
        return max(self.config.min_sites, 3) if masked else self.config.min_sites

    def types_of_enough_sites(
        self, sites: list[SiteDescription]
    ) -> tuple[list[str], dict[str, str]]:
        """Types that enough sites have named, and why the others are left out."""
        holders = Counter(name for site in sites for name in site.cell_types)
        least = self.least_sites
        left_out = {t: f"fewer than {least} sites hold it" for t, n in holders.items() if n < least}
        return sorted(set(holders) - set(left_out)), left_out

    def axes(self, types: list[str], state: State) -> Summed:
        """What the model reconstructs, and where each version of expression varies."""
        values = {**self.asked, "types": types}
        arrays = {"model": state}
        return self.session.sum("evaluation_axes", values=values, arrays=arrays, panel=self.panel)

    def moments(self, types: list[str], axes: Summed) -> Summed:
        """Where each type lies in every view."""
        # Of the cells that were summed.
        scale = self.n_cells / axes.count("n_cells")
        found = [
            axes_of(total * scale, sketch * scale)
            for total, sketch in zip(axes.values["expression"], axes.values["sketch"], strict=True)
        ]
        arrays = {
            "axes": {
                "mean": np.stack([m for m, _ in found]),
                "axes": np.stack([a for _, a in found]),
            },
            "latent": {"mean": axes.values["latent"] * scale},
        }
        values = {**self.asked, "types": types}
        return self.session.sum(
            "evaluation_moments", values=values, arrays=arrays, panel=self.panel
        )

    def batches(
        self,
        types: list[str],
        moments: Sums,
        axes: Summed,
        figures: dict[View, dict[str, Any]],
    ) -> dict[View, dict[str, list[float | None]]]:
        """How far batches of a type differ; adds the probe to ``figures``."""
        latent_mean = axes.values["latent"] * self.n_cells / axes.count("n_cells")
        n_batches = moments["n_batches"]
        centres = packed_centres(centres_of(moments, self.views, n_batches, latent_mean))
        values = {**self.asked, "types": types, "latent_dim": self.preset.shape.latent_dim}
        arrays = {"centres": centres}
        features = self.session.sum("evaluation_features", values=values, arrays=arrays).values
        probes = probes_of(features, self.views, n_batches)
        arrays["whiteners"] = {view.name: probe.whitener for view, probe in probes.items()}
        last = self.session.sum("evaluation_probe", values=values, arrays=arrays).values
        by_view = batch_figures(features, self.views, n_batches)
        for number, view in enumerate(self.views):
            figures[view] |= {
                name: mean_over_types(by_type) for name, by_type in by_view[view].items()
            }
            within, chance = (last[f"probe_{kind}"][:, number] for kind in ("within", "chance"))
            probe = probes[view].explained(within, chance, n_batches)
            figures[view]["batch_probe"] = probe
        return by_view

    def result(
        self,
        axes: Summed,
        n_batches: dict[str, int],
        left_out: dict[str, str],
        figures: dict[View, dict[str, Any]],
        by_view: dict[View, dict[str, list[float | None]]],
    ) -> dict[str, Any]:
        """All of it as plain values."""
        names = ("error", "validation_error", "squares", "validation_squares", "means_error")
        reconstruction = explained_by_model({name: float(axes.values[name]) for name in names})
        overall = {
            space: {
                view.version: {name: figures[view].get(name) for name in FIGURES}
                for view in self.views
                if view.space == space
            }
            for space in SPACES
        }
        by_version = overall["expression"]
        versions = versions_of(self.config.output)
        return {
            "evaluated": True,
            "n_sites": axes.n_sites,
            "n_cells": axes.count("n_cells"),
            "versions": list(versions),
            "scores": {
                version: score(by_version[version], by_version[UNCORRECTED], reconstruction)
                for version in versions
            },
            "reconstruction": reconstruction,
            "overall": overall,
            "per_type": {
                name: {
                    "n_batches": n,
                    **{
                        space: {
                            view.version: {
                                figure: values[row] for figure, values in by_view[view].items()
                            }
                            for view in self.views
                            if view.space == space
                        }
                        for space in SPACES
                    },
                }
                for row, (name, n) in enumerate(n_batches.items())
            },
            "types_left_out": left_out,
            "figures": {name: asdict(figure) for name, figure in FIGURES.items()},
            "settings": {
                "principal_components": N_AXES,
                "fourier_features": N_FEATURES,
                "least_cells_of_a_batch": LEAST_CELLS,
                "least_sites_of_a_type": self.least_sites,
            },
        }
