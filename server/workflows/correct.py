"""correct: federated batch correction, from the sites' files to their corrected files.

References
----------
Bakhtiari et al. 2025 (FedscGen), doi:10.1186/s13059-025-03684-9.
"""

import logging
import shutil
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from common.bundle import Bundle, card_of
from common.config import RunConfig
from common.data.padding import allowed_padding
from common.data.spelling import require_one_spelling
from common.decoder_refit import solve
from common.errors import InputError, SecureSumError
from common.fixed_values import digest_of_values, split_values
from common.models.build import (
    build_model,
    exchanged_names,
    parameter_names,
    restore_model,
    unpruned_names,
)
from common.models.state import State, state_of
from common.panel import Panel
from common.presets import Preset, preset_values, resolve
from common.principal_axes import principal_axes
from common.reference import Reference, Remainder, packed, unpacked
from server import preparation
from server.energy import sum_of_sites
from server.federation import Federation
from server.frozen import FrozenModel, frozen_model
from server.rounds import Rounds
from server.runs import RunFolder
from server.session import Session
from server.workflows.evaluation import evaluate
from strategies.describe import SiteDescription
from strategies.private_max import private_max

logger = logging.getLogger("syncytium.server")


def run(federation: Federation, config: RunConfig, folder: RunFolder, run_id: str) -> None:
    """The phases in their order."""
    workflow = Correct(federation, config, folder, run_id)
    sites = workflow.describe()
    workflow.session.begin()
    if workflow.frozen:
        panel, n_cells, state = workflow.take(workflow.frozen, sites)
    else:
        panel, n_cells = workflow.choose_genes(sites)
        state = workflow.initial_model(panel)
        state = workflow.train(state, panel, n_cells)
    types, alone = workflow.shared_types(sites)
    state, references = workflow.latents(state, panel, n_cells, workflow.maxima(types))
    references = workflow.remainders(state, panel, references)
    n_cells = workflow.correct(state, panel, references, types, alone)
    if config.evaluate:
        evaluate(workflow.session, config, workflow.preset, folder, sites, state, panel, n_cells)
    sum_of_sites(workflow.session, folder)


@dataclass
class Correct:
    """The workflow's phases, each from plain values to plain values."""

    federation: Federation
    config: RunConfig
    folder: RunFolder
    run_id: str

    def __post_init__(self) -> None:
        self.frozen: FrozenModel | None = frozen_model(self.config) if self.config.model else None
        self.preset: Preset = self.frozen.preset if self.frozen else resolve(self.config)
        # What tells the sites the network, where the run's settings do not.
        network = {"network": preset_values(self.preset)} if self.frozen else {}
        self.session = Session(self.federation, self.config, self.run_id, network)
        self.reached = self.folder.checkpoint
        if self.frozen:
            self.frozen.require_unchanged(self.reached)

    def describe(self) -> list[SiteDescription]:
        """What each site has, by name.

        Raises
        ------
        InputError
            There is one cell type only, or one in two spellings, or a resumed run finds other sites
            than it began with.
        """
        sites = preparation.describe(self.federation, self.config, self.folder, self.reached)
        holders = Counter(cell_type for site in sites for cell_type in site.cell_types)
        if len(holders) < 2:
            raise InputError(
                f"the sites hold one cell type only ({', '.join(sorted(holders))}); correction "
                "compares like with like across types, so give data with at least 2"
            )
        # Else each spelling would be a type of its own, shared by nobody and left as it is.
        require_one_spelling(holders, holders)
        return sites

    def take(self, frozen: FrozenModel, sites: list[SiteDescription]) -> tuple[Panel, int, State]:
        """Genes, scaling and model of a bundle, which are as they were.

        Nothing is summed, so the number of cells stays unknown (0) until the correction.
        """
        panel, state = frozen.bundle.panel, frozen.bundle.state
        padded = allowed_padding(panel, {s.site: s.genes for s in sites}, self.config.max_padded)
        self.folder.note(
            frozen={"run": frozen.bundle.card["run"], "bundle": frozen.bundle.digest},
            n_vocabulary=len(panel.vocabulary),
            n_genes=len(panel.genes),
            padded={site: lacks.share for site, lacks in padded.items()},
        )
        return panel, 0, state

    def choose_genes(self, sites: list[SiteDescription]) -> tuple[Panel, int]:
        """Agree on genes, then choose and scale the most variable from summed moments."""
        shared = (self.session, self.config, self.folder, self.reached)
        return preparation.choose_genes(*shared, sites)

    def initial_model(self, panel: Panel) -> State:
        """The network before training, its linear path at the pooled principal axes."""
        if kept := self.reached.arrays("model"):
            return kept
        model = build_model(self.preset, len(panel.genes), self.config.seed)
        if self.preset.principal_axes:
            sums = self.session.sum("principal_axes", panel=panel).values
            mean, axes = principal_axes(
                float(sums["n_cells"]),
                sums["sum_scaled"],
                sums["second_moments"],
                self.preset.shape.latent_dim,
            )
            model.start_at(mean, axes)
        n_parameters = sum(p.numel() for p in model.parameters())
        self.folder.note(n_parameters=n_parameters, n_rounds=self.preset.training.rounds)
        state = state_of(model)
        self.reached.save("model", {}, {"model": state})
        return state

    def train(self, state: State, panel: Panel, n_cells: int) -> State:
        """The model after the rounds of training."""
        exchanged, fixed = split_values(state, exchanged_names(self.preset))
        self.session.keep(fixed)
        rounds = Rounds(
            self.session,
            self.config,
            self.preset.training,
            parameter_names(self.preset),
            self.folder,
            self.reached,
            unpruned=unpruned_names(self.preset),
            content={"panel": panel, "values": {"fixed": digest_of_values(fixed)}},
        )
        trained = state | rounds.train(exchanged, n_cells)
        # What comes then has all of the model: its decoder is refitted.
        self.session.keep({})
        return trained

    def shared_types(self, sites: list[SiteDescription]) -> tuple[list[str], list[str]]:
        """Cell types that are corrected together, and those that a site alone holds.

        Nothing is summed of a type that one of several sites alone has named: the sum would be that
        site's. It shifts such a type by its own batches.
        """
        holders = Counter(cell_type for site in sites for cell_type in site.cell_types)
        alone = sorted(t for t, n in holders.items() if n == 1 < len(sites))
        if alone:
            self.folder.note(types_of_one_site=alone)
        return sorted(set(holders) - set(alone)), alone

    def maxima(self, types: list[str]) -> dict[str, int]:
        """Cells of the largest batch of each type that two batches or more hold."""
        if (kept := self.reached.get("maxima")) is not None:
            return kept
        found = private_max(types, self.session.sum) if types else {}
        unshifted, maxima = {}, {}
        for cell_type, maximum in found.items():
            if maximum.n_batches < 2:
                unshifted[cell_type] = "held by one batch only"
            elif maximum.largest is None:
                unshifted[cell_type] = f"no batch has {self.config.min_reference_cells} cells"
            else:
                maxima[cell_type] = maximum.largest
        self.folder.note(largest_batch=maxima, unshifted_types=unshifted)
        if not maxima:
            logger.warning("no cell type is shared by two batches of the federation")
        self.reached.save("maxima", maxima)
        return maxima

    def latents(
        self, state: State, panel: Panel, n_cells: int, maxima: dict[str, int]
    ) -> tuple[State, dict[str, Reference]]:
        """What the trained model's latents give.

        Returns
        -------
        state
            The model, its decoder's linear path refitted to all sites' cells if the preset says so.
        references
            Of each shared type: the mean over its tied dominant batches, and over the covariances
            of all that are large enough.
        """
        if (names := self.reached.get("references")) is not None:
            kept = self.reached.arrays("references")
            return self.reached.arrays("refitted"), unpacked(names, kept)
        if not (maxima or self.preset.refit_decoder):
            return state, {}
        values = {"n_cells": n_cells, "maxima": maxima}
        arrays = {"model": state}
        sums = self.session.sum("latents", values=values, arrays=arrays, panel=panel).values
        if self.preset.refit_decoder:
            model = restore_model(self.preset, len(panel.genes), state)
            model.set_linear_decoder(*solve(sums["latent_products"], sums["latent_residual"]))
            state = state_of(model)
        holders = sums["n_holders"]
        if (holders < 1).any():
            raise SecureSumError("a dominant batch was lost before it sent its mean; run again")
        made = {"mean": sums["mean_latent"] / holders[:, None]}
        if self.preset.alignment == "covariance":
            n_large = sums["n_large"]
            if (n_large < 1).any():
                raise SecureSumError("a large batch was lost before its covariance; run again")
            made["covariance"] = sums["covariance"] / n_large[:, None]
        self.reached.save("references", list(maxima), {"refitted": state, "references": made})
        return state, unpacked(list(maxima), made)

    def remainders(
        self, state: State, panel: Panel, references: dict[str, Reference]
    ) -> dict[str, Reference]:
        """The references, with what the network does not encode if an output has it."""
        if self.config.output == "decoded" or not references:
            return references
        if self.reached.get("remainders") is None:
            sums = self.session.sum(
                "remainders",
                values={"referenced": list(references)},
                arrays={"model": state},
                panel=panel,
            ).values
            n_large = sums["n_large"]
            if (n_large < 1).any():
                raise SecureSumError("a large batch was lost before its mean; run again")
            made = {key: sums[key] / n_large[:, None] for key in ("mean", "variance")}
            self.reached.save("remainders", {}, {"remainders": made})
        kept = self.reached.arrays("remainders")
        moments = zip(kept["mean"], kept["variance"], strict=True)
        return {
            name: replace(reference, remainder=Remainder(mean, np.maximum(variance, 0)))
            for (name, reference), (mean, variance) in zip(references.items(), moments, strict=True)
        }

    def correct(
        self,
        state: State,
        panel: Panel,
        references: dict[str, Reference],
        types: list[str],
        alone: list[str],
    ) -> int:
        """Publish the bundle and have every site write its corrected file; cells written."""
        versions = self.folder.versions
        more = {"frozen": self.folder.entry("frozen", {})} if self.frozen else {}
        if pruned := self.folder.entry("pruned", {}):
            more["pruned_share"] = pruned["share"]
        card = card_of(self.config, self.preset, run=self.run_id, versions=versions, **more)
        # A run that stopped in this phase has left one of its own.
        shutil.rmtree(self.folder.path / "bundle", ignore_errors=True)
        digest = Bundle(state, panel, references, card).save(self.folder.path / "bundle")
        arrays = {"model": state}
        if references:
            arrays["references"] = packed(references)
        values = {
            "run": self.run_id,
            "version": versions["syncytium"],
            "bundle": digest,
            "referenced": list(references),
            "unshifted": [t for t in (*types, *alone) if t not in references],
            "alone": alone,
        }
        summed = self.session.sum("correct", values=values, arrays=arrays, panel=panel)
        counts = ("n_shifted", "n_predicted", "n_nearest", "n_unlabelled", "n_unsure")
        self.folder.note(
            n_corrected=summed.count("n_cells"),
            n_sites_corrected=summed.n_sites,
            **{name: summed.count(name) for name in counts},
            identity=not summed.count("n_shifted"),
        )
        return summed.count("n_cells")
