"""correct: federated batch correction, from the sites' files to their corrected files.

References
----------
Bakhtiari et al. 2025 (FedscGen), doi:10.1186/s13059-025-03684-9.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from common.bundle import Bundle, shape_card
from common.config import RunConfig
from common.data.genes import agree
from common.data.hvg import highly_variable
from common.data.moments import GeneMoments
from common.decoder_refit import solve
from common.errors import InputError, SecureSumError, UpdateError
from common.models.build import build_model, parameter_names, restore_model
from common.models.state import State, state_of
from common.panel import Panel
from common.presets import Preset, resolve
from common.principal_axes import principal_axes
from common.secure.by_name import coordinator_sum
from common.strategy_names import ROBUST
from server.federation import Federation
from server.keys import exchange_keys
from server.runs import RunFolder
from strategies.by_name import enough_for, strategy_of
from strategies.describe import Describe, SiteDescription
from strategies.fedavg import SecureFedAvg
from strategies.private_max import private_max
from strategies.robust import RobustRound
from strategies.secure_sum import SecureSum
from strategies.training_round import TrainingRound

logger = logging.getLogger("syncytium.server")


def run(federation: Federation, config: RunConfig, folder: RunFolder, run_id: str) -> None:
    """The phases in their order."""
    workflow = Correct(federation, config, folder, run_id)
    sites = workflow.describe()
    exchange_keys(federation, workflow.sums)
    panel, n_cells = workflow.choose_genes(sites)
    state = workflow.initial_model(panel)
    state = workflow.train(state, panel, n_cells)
    types, alone = workflow.shared_types(sites)
    state, references = workflow.latents(state, panel, n_cells, workflow.maxima(types))
    workflow.correct(state, panel, references, types, alone)


@dataclass
class Correct:
    """The workflow's phases, each from plain values to plain values."""

    federation: Federation
    config: RunConfig
    folder: RunFolder
    run_id: str

    def __post_init__(self) -> None:
        self.preset: Preset = resolve(self.config)
        self.sums = coordinator_sum(self.config)
        common = {
            "backend": self.sums,
            "run": self.run_id,
            "min_sites": self.config.min_sites,
            "ring_bits": self.config.ring_bits,
            "settings": self.config.digest(),
        }
        self.secure_sum = partial(SecureSum, **common)
        self.training_round = partial(self._training_round(), **common)

    def _training_round(self) -> Callable[..., TrainingRound]:
        """How a round is made of a state; its strategy is one object, which may keep momentum."""
        if self.config.strategy in ROBUST:
            return partial(RobustRound, config=self.config)
        trained = parameter_names(self.preset)
        return partial(SecureFedAvg, strategy=strategy_of(self.config), trained=trained)

    def describe(self) -> list[SiteDescription]:
        """What each site has, by name."""
        sites = self.federation.run(Describe())
        self.federation.names = {site.node_id: site.site for site in sites}
        self.folder.note(
            sites={s.site: {"n_genes": len(s.genes), "versions": s.versions} for s in sites}
        )
        enough_for(self.config, len(sites))
        types = {cell_type for site in sites for cell_type in site.cell_types}
        if len(types) < 2:
            raise InputError(
                f"the sites hold one cell type only ({', '.join(sorted(types))}); correction "
                "compares like with like across types, so give data with at least 2"
            )
        return sites

    def choose_genes(self, sites: list[SiteDescription]) -> tuple[Panel, int]:
        """Agree on genes, then choose and scale the most variable from summed moments."""
        vocabulary = agree(
            {site.site: site.genes for site in sites},
            join=self.config.gene_join,
            max_padded=self.config.max_padded,
            min_holders=self.config.min_sites,
        )
        summed = self.federation.run(
            self.secure_sum("moments", values={"vocabulary": vocabulary.genes})
        )
        n_cells = summed.count("n_cells")
        moments = GeneMoments(**{**summed.values, "n_cells": n_cells})
        chosen = highly_variable(moments, self.config.n_top_genes)
        mean, sd = moments.log_mean_sd()
        genes = tuple(vocabulary.genes[i] for i in chosen)
        self.folder.note(
            n_cells=n_cells,
            n_vocabulary=len(vocabulary.genes),
            n_genes=len(genes),
            padded=dict(vocabulary.padded),
        )
        return Panel(vocabulary.genes, genes, mean[chosen], sd[chosen]), n_cells

    def initial_model(self, panel: Panel) -> State:
        """The network before training, its linear path at the pooled principal axes."""
        model = build_model(self.preset, len(panel.genes), self.config.seed)
        if self.preset.principal_axes:
            sums = self.federation.run(self.secure_sum("principal_axes", panel=panel)).values
            mean, axes = principal_axes(
                float(sums["n_cells"]),
                sums["sum_scaled"],
                sums["second_moments"],
                self.preset.shape.latent_dim,
            )
            model.start_at(mean, axes)
        n_parameters = sum(p.numel() for p in model.parameters())
        self.folder.note(n_parameters=n_parameters, n_rounds=self.preset.training.rounds)
        return state_of(model)

    def train(self, state: State, panel: Panel, n_cells: int) -> State:
        """Federated rounds until they are done or the validation loss no longer falls.

        A round's replies hold the validation loss of the model it started from. On stopping early
        the state with the lowest is kept, else the last one. A round in which an update is not
        finite leaves the state as it was.
        """
        best, best_loss, kept, waited = state, np.inf, 0, 0
        for round_ in range(1, self.preset.training.rounds + 1):
            start = time.monotonic()
            strategy = self.training_round(state, n_cells, panel=panel)
            try:
                summed, reply = self.federation.run_with_reply(strategy, round_)
            except UpdateError as error:
                logger.warning("round %d %s", round_, error)
                self.folder.metrics(round=round_, void=str(error))
                continue
            trained = strategy.step(round_, summed, reply)
            self.folder.metrics(
                round=round_,
                n_sites=trained.n_sites,
                train_loss=trained.train_loss,
                validation_loss_before=trained.validation_loss,
                seconds=round(time.monotonic() - start, 3),
            )
            loss = trained.validation_loss
            shown = trained.train_loss if loss is None else loss
            logger.info("round %d of %d: loss %.4f", round_, self.preset.training.rounds, shown)
            if loss is not None and loss < best_loss:
                best, best_loss, kept, waited = state, loss, round_ - 1, 0
            elif loss is not None:
                waited += 1
            state = trained.state
            if self.config.patience and waited >= self.config.patience:
                self.folder.note(stopped_early=round_, kept_round=kept)
                return best
        return state

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
        found = private_max(types, self.secure_sum, self.federation.run) if types else {}
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
        return maxima

    def latents(
        self, state: State, panel: Panel, n_cells: int, maxima: dict[str, int]
    ) -> tuple[State, dict[str, np.ndarray]]:
        """What the trained model's latents give.

        Returns
        -------
        state
            The model, its decoder's linear path refitted to all sites' cells if the preset says so.
        references
            Latent mean of each shared type: the mean over its tied dominant batches.
        """
        if not (maxima or self.preset.refit_decoder):
            return state, {}
        values = {"n_cells": n_cells, "maxima": maxima}
        phase = self.secure_sum("latents", values=values, arrays={"model": state}, panel=panel)
        sums = self.federation.run(phase).values
        if self.preset.refit_decoder:
            model = restore_model(self.preset, len(panel.genes), state)
            model.set_linear_decoder(*solve(sums["latent_products"], sums["latent_residual"]))
            state = state_of(model)
        holders = sums["n_holders"]
        if (holders < 1).any():
            raise SecureSumError("a dominant batch was lost before it sent its mean; run again")
        return state, dict(zip(maxima, sums["mean_latent"] / holders[:, None], strict=True))

    def correct(
        self,
        state: State,
        panel: Panel,
        references: dict[str, np.ndarray],
        types: list[str],
        alone: list[str],
    ) -> None:
        """Publish the bundle and have every site write its corrected file."""
        versions = self.folder.versions
        card = {
            "task": "correct",
            "run": self.run_id,
            "model": self.preset.model,
            "shape": shape_card(self.preset.shape),
            "versions": versions,
        }
        Bundle(state, panel, references, card).save(self.folder.path / "bundle")
        arrays = {"model": state}
        if references:
            arrays["references"] = {"mean": np.stack(list(references.values()))}
        values = {
            "run": self.run_id,
            "version": versions["syncytium"],
            "referenced": list(references),
            "unshifted": [t for t in (*types, *alone) if t not in references],
            "alone": alone,
        }
        summed = self.federation.run(
            self.secure_sum("correct", values=values, arrays=arrays, panel=panel)
        )
        self.folder.note(
            n_corrected=summed.count("n_cells"),
            n_shifted=summed.count("n_shifted"),
            identity=not summed.count("n_shifted"),
        )
