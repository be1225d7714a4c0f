"""classify: a jointly trained cell-type classifier, from the sites' labels to a published bundle.

References
----------
Wang et al. 2024 (scFed), doi:10.1093/bib/bbad507.
"""

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.classification.extended_vocabulary import as_published, untrained
from common.classification.marker_genes import between_within, most_distinct
from common.classification.ontology import Term, read_terms, terms_of
from common.classification.plan import ClassifierPlan, classifier_plan
from common.classification.published import ClassifierCard, publish
from common.classification.temperature import best_temperature
from common.classification.threshold import Threshold, threshold_for_kept
from common.classification.vocabulary import LabelVocabulary, agree_labels
from common.config import RunConfig
from common.errors import ConfigError, InputError
from common.fixed_values import digest_of_values, split_values
from common.models.classifiers.build import (
    build_classifier,
    exchanged_names,
    restore_classifier,
    trainable_names,
)
from common.models.classifiers.classifier import Classifier
from common.models.state import State, state_of
from common.panel import Panel
from server import preparation
from server.bagged_trees import BaggedTreeRounds
from server.energy import sum_of_sites
from server.federation import Federation
from server.linear import LinearRounds
from server.pretrained import checkpoint_folder, pretrained
from server.rounds import Rounds
from server.runs import RunFolder
from server.scoring import Scoring
from server.session import Session
from server.starting_point import starting_point
from server.training_energy import training_energy
from server.trees import TreeRounds
from strategies.describe import SiteDescription

logger = logging.getLogger("syncytium.server")
# Genes that scdlc reads one after the other, before they are chosen.
UNSELECTED = -1


def run(federation: Federation, config: RunConfig, folder: RunFolder, run_id: str) -> None:
    """The phases in their order."""
    workflow = Classify(federation, config, folder, run_id)
    sites = workflow.describe()
    workflow.session.begin()
    vocabulary = workflow.agree_on_labels(sites)
    panel = workflow.choose_genes(sites)
    counts = workflow.count_cells(vocabulary)
    state = workflow.train(panel, vocabulary, counts)
    scoring = workflow.scoring(state, panel, vocabulary)
    scoring.validate()
    temperature, threshold = workflow.calibrate(state, panel, vocabulary)
    workflow.publish(state, panel, vocabulary, temperature, threshold)
    scoring.test(temperature, threshold)
    sum_of_sites(workflow.session, folder)


@dataclass
class Classify:
    """The workflow's phases, each from plain values to plain values."""

    federation: Federation
    config: RunConfig
    folder: RunFolder
    run_id: str

    def __post_init__(self) -> None:
        self.plan: ClassifierPlan = classifier_plan(self.config)
        self.terms: dict[str, Term] = self._read_terms()
        self.session = Session(self.federation, self.config, self.run_id)
        self.reached = self.folder.checkpoint
        self.fixed: State = {}
        self.start = starting_point(self.config) if self.config.start_from else None
        if self.start:
            self.start.require_unchanged(self.reached)
            self.plan = self.start.plan(self.plan)
            self.terms = {**self.start.terms, **self.terms}
            self.folder.note(started_from=self.start.about)
        elif self.config.checkpoint and self.reached.get("model") is None:
            checkpoint_folder(self.config)

    def _read_terms(self) -> dict[str, Term]:
        if not self.config.ontology:
            return {}
        path = Path(self.config.ontology).expanduser()
        if not path.is_absolute():
            raise ConfigError(
                f"ontology = {self.config.ontology!r}: `flwr run` needs an absolute path"
            )
        return read_terms(path)

    def describe(self) -> list[SiteDescription]:
        """What each site has, by name."""
        return preparation.describe(self.federation, self.config, self.folder, self.reached)

    def agree_on_labels(self, sites: list[SiteDescription]) -> LabelVocabulary:
        """The classes: labels that enough sites hold, by masked sums of presence.

        Raises
        ------
        InputError
            A label has two spellings, too few sites hold it and the run refuses that, or fewer
            than two classes are left.
        """
        if kept := self.reached.get("labels"):
            return LabelVocabulary(**{key: tuple(names) for key, names in kept.items()})
        candidates = sorted({name for site in sites for name in site.cell_types})
        least, rare = self.config.label_sites or self.config.min_sites, self.config.rare_labels
        holders = self._holders([[name] for name in candidates])
        if self.start:
            held = dict(zip(candidates, holders.tolist(), strict=True))
            vocabulary = self.start.agree(held, self._holders, least, rare)
        else:
            vocabulary = agree_labels(candidates, holders, min_holders=least, rare=rare)
            if vocabulary.merged:
                (n_of_other,) = self._holders([list(vocabulary.merged)])
                vocabulary = vocabulary.with_other_held_by(int(n_of_other), least)
        if self.config.ontology:
            terms_of(vocabulary.classes, self.terms)
        base = self.start.vocabulary if self.start else None
        self.folder.note(classes=list(vocabulary.classes), **_rest(vocabulary, base))
        if base:
            new = [name for name in vocabulary.classes if name not in base.classes]
            self.folder.note(new_classes=new)
        self.reached.save("labels", asdict(vocabulary))
        return vocabulary

    def _holders(self, groups: list[list[str]]) -> np.ndarray:
        summed = self.session.sum("labels", values={"groups": groups})
        return np.rint(summed.values["n_holders"]).astype(int)

    def choose_genes(self, sites: list[SiteDescription]) -> Panel:
        """Agree on genes, then choose and scale the most variable from summed moments."""
        if self.start:
            panel = self.start.panel
            self.folder.note(
                n_vocabulary=len(panel.vocabulary),
                n_genes=len(panel.genes),
                padded=self.start.padded(sites, self.config.max_padded),
            )
            return panel
        shared = (self.session, self.config, self.folder, self.reached)
        return preparation.choose_genes(*shared, sites)[0]

    def count_cells(self, vocabulary: LabelVocabulary) -> np.ndarray:
        """Training cells of each class over all sites, (n_classes,)."""
        if (kept := self.reached.get("class_counts")) is None:
            summed = self.session.sum("class_counts", values={"vocabulary": asdict(vocabulary)})
            kept = {
                "n_train": np.rint(summed.values["n_train"]).astype(int).tolist(),
                "n_validation": summed.count("n_validation"),
                "n_test": summed.count("n_test"),
            }
            self.reached.save("class_counts", kept)
        if self.config.target_f1 and not kept["n_validation"]:
            raise InputError(
                f"target-f1 = {self.config.target_f1:g}, and no cell is held out for validation: "
                "raise validation-share, or leave target-f1 out"
            )
        # What a bundle has learned it need not learn here.
        learned = self.start.vocabulary.classes if self.start else ()
        counts = zip(vocabulary.classes, kept["n_train"], strict=True)
        empty = [name for name, n in counts if not n and name not in learned]
        if empty:
            raise InputError(f"no training cell is of class {', '.join(empty)}: check test-share")
        self.folder.note(
            n_train=sum(kept["n_train"]), n_validation=kept["n_validation"], n_test=kept["n_test"]
        )
        return np.array(kept["n_train"])

    def train(self, panel: Panel, vocabulary: LabelVocabulary, counts: np.ndarray) -> State:
        """The trained classifier's values."""
        asked = {"vocabulary": asdict(vocabulary), "counts": counts.tolist()}
        shared = (self.session, self.folder, self.reached, self.plan, panel, counts, asked)
        if self.plan.fitted == "linear":
            start = self.start.state(vocabulary.classes, self.config.seed) if self.start else {}
            return LinearRounds(*shared, start).train()
        if self.plan.fitted == "trees":
            rounds_of = BaggedTreeRounds if self.config.forest == "bagging" else TreeRounds
            return rounds_of(*shared).train()
        state = self._initial(panel, vocabulary, counts, asked)
        plan, size = self.plan, (len(panel.genes), len(counts))
        network = (plan.name, plan.shape, *size, plan.trained)
        exchanged, self.fixed = split_values(state, exchanged_names(*network))
        self.session.keep(self.fixed)
        rounds = Rounds(
            self.session,
            self.config,
            plan.training,
            trainable_names(*network),
            self.folder,
            self.reached,
            phase="classifier_fit",
            of_some="classifier_fit_of_some",
            content={"panel": panel, "values": asked | self._asked_with_model()},
        )
        return state | rounds.train(exchanged, int(counts.sum()))

    def _asked_with_model(self) -> dict[str, Any]:
        """What goes with a model: what names its values that sites keep, and a checkpoint's shape.

        Of other classifiers a site knows the shape by its own version.
        """
        shape = {"shape": self.plan.values["shape"]} if self.config.goes_on else {}
        return {"fixed": digest_of_values(self.fixed), **shape}

    def _sent(self, state: State) -> dict[str, State]:
        """The model, as a message has it."""
        return {"model": {k: value for k, value in state.items() if k not in self.fixed}}

    def _initial(
        self,
        panel: Panel,
        vocabulary: LabelVocabulary,
        counts: np.ndarray,
        asked: dict[str, Any],
    ) -> State:
        """The network before training, over genes that tell the classes apart if it reads few."""
        if kept := self.reached.arrays("model"):
            self.plan = self.plan.with_shape(self.reached.get("model")["shape"])
            return kept
        model = self._untrained(panel, vocabulary.classes)
        selected = state_of(model).get("selected")
        if selected is not None and (selected == UNSELECTED).any():
            sums = self.session.sum("marker_genes", values=asked, panel=panel).values
            ratio = between_within({**sums, "n_cells": counts.astype(float)})
            # The last step is the one that the answer remembers best.
            model.select(np.flip(most_distinct(ratio, len(selected))))
        n_parameters = sum(p.numel() for p in model.parameters())
        self.folder.note(n_parameters=n_parameters, n_rounds=self.plan.training.rounds)
        state = state_of(model)
        self.reached.save("model", {"shape": self.plan.values["shape"]}, {"model": state})
        return state

    def _untrained(self, panel: Panel, classes: tuple[str, ...]) -> Classifier:
        """With values drawn at random, or of what the run starts from, whose shape it takes."""
        size = len(panel.genes), len(classes)
        if self.start:
            state = self.start.state(classes, self.config.seed)
            return restore_classifier(self.plan.name, self.plan.shape, *size, state)
        if not self.config.checkpoint:
            model = build_classifier(self.plan.name, self.plan.shape, *size, self.config.seed)
            model.take_moments(panel.mean, panel.sd)
            return model
        read = pretrained(self.config, panel, len(classes))
        self.plan = replace(self.plan, shape=read.shape)
        self.folder.note(trained_layers=list(read.shape.trained), unknown_genes=list(read.dropped))
        return restore_classifier(self.plan.name, self.plan.shape, *size, read.state)

    def calibrate(
        self, state: State, panel: Panel, vocabulary: LabelVocabulary
    ) -> tuple[float, Threshold | None]:
        """Temperature of the probabilities, and the confidence below which a cell is unknown.

        Both are chosen on validation cells; without any they are 1 and none.
        """
        if not self.reached.get("class_counts")["n_validation"]:
            return 1.0, None
        asked = {"vocabulary": asdict(vocabulary), **self._asked_with_model()}
        if (temperature := self.reached.get("temperature")) is None:
            losses = self.session.sum(
                "temperature", values=asked, arrays=self._sent(state), panel=panel
            )
            temperature = best_temperature(losses.values["losses"])
            self.reached.save("temperature", temperature)
        self.folder.note(temperature=temperature)
        if not self.config.keep_answers:
            return temperature, None
        if (kept := self.reached.get("threshold")) is None:
            counts = self.session.sum(
                "confidences",
                values={**asked, "temperature": temperature},
                arrays=self._sent(state),
                panel=panel,
            )
            found = threshold_for_kept(counts.values["n_cells"], self.config.keep_answers)
            kept = asdict(found)
            self.reached.save("threshold", kept)
        self.folder.note(threshold=kept)
        return temperature, Threshold(**kept)

    def scoring(self, state: State, panel: Panel, vocabulary: LabelVocabulary) -> Scoring:
        """Of the trained classifier."""
        asked = {"vocabulary": asdict(vocabulary), **self._asked_with_model()}
        return Scoring(self.session, self.folder, panel, vocabulary, asked, self._sent(state))

    def publish(
        self,
        state: State,
        panel: Panel,
        vocabulary: LabelVocabulary,
        temperature: float,
        threshold: Threshold | None,
    ) -> None:
        """Write the bundle."""
        earlier = self.start.earlier if self.start else []
        card = ClassifierCard(
            run=self.run_id,
            plan=self.plan,
            vocabulary=as_published(vocabulary),
            terms={name: self.terms[name] for name in vocabulary.classes if name in self.terms},
            temperature=temperature,
            threshold=threshold.value if threshold else 0.0,
            max_padded=self.config.max_padded,
            versions=self.folder.versions,
            pruned_share=self.folder.entry("pruned", {}).get("share", 0.0),
            training_energy=training_energy(self.session, self.folder, earlier),
            started_from=self.start.about if self.start else {},
        )
        digest = publish(self.folder.path / "bundle", state, panel, card)
        self.folder.note(bundle=digest)


def _rest(vocabulary: LabelVocabulary, base: LabelVocabulary | None) -> dict[str, list[str]]:
    """Labels that are no classes of their own, or that nothing was trained on; if any are.

    ``base``: of the bundle that the run starts from, whose own are not told again.
    """
    told = {*base.merged, *base.left_out} if base else set()
    rest = {
        "merged_labels": vocabulary.merged,
        "left_out_labels": as_published(vocabulary).left_out,
        "untrained_labels": untrained(vocabulary),
    }
    found = {
        key: [name for name in names if name not in told or key == "untrained_labels"]
        for key, names in rest.items()
    }
    return {key: names for key, names in found.items() if names}
