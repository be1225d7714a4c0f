"""A published classifier that a run of classify trains on: its genes, classes and values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.bundle import Bundle
from common.classification.extended_head import extended_state
from common.classification.extended_vocabulary import extended, without_other
from common.classification.ontology import Term
from common.classification.plan import ClassifierPlan
from common.classification.published import TASK, PublishedClassifier
from common.classification.vocabulary import LabelVocabulary
from common.config import RunConfig
from common.data.padding import allowed_padding
from common.errors import ConfigError, InputError
from common.models.state import State
from common.panel import Panel
from common.training_energy import as_earlier
from server.checkpoint import Checkpoint

if TYPE_CHECKING:
    from strategies.describe import SiteDescription

# What the bundle has decided.
DECIDED = ("n_top_genes", "gene_join", "checkpoint", "max_depth", "gene_share", "forest")


@dataclass(frozen=True)
class StartingPoint:
    """A bundle that a run starts from.

    Parameters
    ----------
    path
        Of the bundle.
    published
        What is in it.
    digest
        Of all of it.
    """

    path: Path
    published: PublishedClassifier
    digest: str

    @property
    def panel(self) -> Panel:
        """Genes and scaling."""
        return self.published.panel

    @property
    def vocabulary(self) -> LabelVocabulary:
        """Its classes."""
        return self.published.vocabulary

    @property
    def terms(self) -> dict[str, Term]:
        """Cell Ontology terms by class; may be empty."""
        return self.published.terms

    @property
    def about(self) -> dict[str, Any]:
        """Which bundle it is, for ``run.json`` and the card of the next one."""
        return {"run": str(self.published.card["run"]), "bundle": self.digest}

    @property
    def earlier(self) -> list[dict[str, Any]]:
        """What its training took, and that of the bundles before it."""
        return as_earlier(self.published.card, self.digest)

    def plan(self, plan: ClassifierPlan) -> ClassifierPlan:
        """A run's plan with the bundle's shape.

        Raises
        ------
        InputError
            The bundle's classifier reads expression as this version's does not.
        """
        own = self.published.trained.plan
        if own.training.scaled != plan.training.scaled:
            raise InputError(
                f"{self.path}: its classifier reads expression scaled otherwise than this version "
                "feeds it: use the version that made the bundle"
            )
        return replace(plan, shape=own.shape)

    def state(self, classes: tuple[str, ...], seed: int) -> State:
        """The values, with outputs for the run's classes."""
        trained = self.published.trained
        return extended_state(
            trained.state,
            self.vocabulary.classes,
            classes,
            name=trained.plan.name,
            shape=trained.plan.shape,
            n_genes=len(self.panel.genes),
            seed=seed,
        )

    def agree(
        self,
        n_holders: Mapping[str, int],
        holders: Callable[[list[list[str]]], np.ndarray],
        least: int,
        rare: str,
    ) -> LabelVocabulary:
        """The run's vocabulary: the bundle's classes, and new ones that the rules let in.

        Parameters
        ----------
        n_holders
            Sites that hold each label of theirs.
        holders
            Sites that hold any label of a group, for groups.
        least, rare
            The rules; see :func:`common.classification.extended_vocabulary.extended`, also for what
            it raises.
        """
        base = self.vocabulary
        agreed = extended(base, n_holders, min_holders=least, rare=rare)
        if any(name in n_holders for name in agreed.merged):
            (n_of_other,) = holders([list(agreed.merged)])
            if n_of_other < least:
                return without_other(agreed, base)
        return agreed

    def padded(self, sites: "list[SiteDescription]", max_padded: float) -> Mapping[str, float]:
        """Share of the bundle's genes that each site lacks, where it lacks any.

        Raises
        ------
        GeneError
            A site lacks more than ``max_padded``.
        """
        found = allowed_padding(self.panel, {s.site: s.genes for s in sites}, max_padded)
        return {site: lacks.share for site, lacks in found.items()}

    def require_unchanged(self, checkpoint: Checkpoint) -> None:
        """As :meth:`~server.checkpoint.Checkpoint.require_same_bundle`."""
        checkpoint.require_same_bundle("start", self.digest, self.path)


def starting_point(config: RunConfig) -> StartingPoint:
    """The bundle that a run names.

    Raises
    ------
    ConfigError
        The path is relative, or the run sets what the bundle decides, or names another classifier.
    InputError
        The bundle is missing, damaged, of another format or task.
    """
    path = Path(config.start_from).expanduser()
    if not path.is_absolute():
        raise ConfigError(f"start-from = {config.start_from!r}: `flwr run` needs an absolute path")
    fields = RunConfig.model_fields
    given = [name for name in DECIDED if getattr(config, name) != fields[name].default]
    if given:
        named = ", ".join(f"{n.replace('_', '-')} = {getattr(config, n)!r}" for n in given)
        raise ConfigError(
            f"{named}: with start-from = {config.start_from!r} genes and network are the bundle's; "
            "leave it out, or leave out start-from"
        )
    bundle = Bundle.load(path, TASK)
    published = PublishedClassifier.of(bundle, path)
    made = published.trained.plan
    if made.fitted == "trees":
        raise ConfigError(
            f"start-from = {config.start_from!r} is a forest, whose trees are of the bins of its "
            "own sites: train one anew, or start from the bundle of another classifier"
        )
    for key, value in (("classifier", made.name), ("classifier_form", made.form)):
        if getattr(config, key) != value:
            name = key.replace("_", "-")
            raise ConfigError(
                f"{name} = {getattr(config, key)!r}, and the bundle {path} was made with "
                f"{value!r}: set {name} to that"
            )
    return StartingPoint(path, published, bundle.digest)
