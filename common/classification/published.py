"""A published classifier: the bundle of a run of `classify`, written and read again."""

import json
import math
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from common.boosting.forest_state import forest_of
from common.boosting.xgboost_json import to_json
from common.bundle import Bundle
from common.classification.ontology import Term
from common.classification.plan import ClassifierPlan
from common.classification.trained import TrainedClassifier
from common.classification.vocabulary import LabelVocabulary
from common.errors import ConfigError, InputError
from common.models.classifiers.build import shape_of
from common.models.classifiers.recipe import ClassifierTraining
from common.models.state import State
from common.panel import Panel

TASK = "classify"
XGBOOST = "xgboost.json"
# What a card raises whose classifier another version has made.
_UNUSABLE = (
    AttributeError,
    ConfigError,
    InputError,
    KeyError,
    RuntimeError,
    TypeError,
    ValidationError,
    ValueError,
)


@dataclass(frozen=True)
class ClassifierCard:
    """What a bundle says beside the classifier's values, genes and scaling.

    Parameters
    ----------
    run
        Flower's id of the run.
    plan
        Classifier and training.
    vocabulary
        Its classes.
    terms
        Cell Ontology terms by class; may be empty.
    temperature, threshold
        Of the probabilities, and the confidence below which a cell is unknown.
    max_padded
        Share of the genes that a later site may lack.
    versions
        What made it.
    pruned_share
        Share of the weights that are zero because they were pruned.
    training_energy
        What its training took; see :mod:`common.training_energy`.
    started_from
        The bundle that it was trained on from: its ``run`` and its digest as ``bundle``.
    """

    run: str
    plan: ClassifierPlan
    vocabulary: LabelVocabulary
    terms: dict[str, Term]
    temperature: float
    threshold: float
    max_padded: float
    versions: dict[str, str]
    pruned_share: float = 0.0
    training_energy: dict[str, Any] = field(default_factory=dict)
    started_from: dict[str, str] = field(default_factory=dict)


def publish(folder: Path, state: State, panel: Panel, card: ClassifierCard) -> str:
    """Write a bundle in the place of one that a stopped run has left; returns its digest."""
    shutil.rmtree(folder, ignore_errors=True)
    beside = {}
    if card.plan.fitted == "trees":
        classes = list(card.vocabulary.classes)
        beside[XGBOOST] = json.dumps(to_json(forest_of(state), list(panel.genes), classes))
    said = {
        "task": TASK,
        "run": card.run,
        "classifier": card.plan.values,
        "labels": json.loads(json.dumps(asdict(card.vocabulary))),
        "classes": list(card.vocabulary.classes),
        "terms": {name: term._asdict() for name, term in card.terms.items()},
        "temperature": card.temperature,
        "threshold": card.threshold,
        "settings": {"max-padded": card.max_padded},
        "versions": card.versions,
        **({"pruned_share": card.pruned_share} if card.pruned_share else {}),
    }
    history = {"training_energy": card.training_energy, "started_from": card.started_from}
    said |= {key: value for key, value in history.items() if value}
    return Bundle(state, panel, {}, said).save(folder, beside=beside)


@dataclass(frozen=True)
class PublishedClassifier:
    """A classifier with all that a later site needs to label its cells.

    Parameters
    ----------
    trained
        Its values, with the temperature.
    panel
        Genes and scaling.
    vocabulary
        Its classes.
    threshold
        Smallest confidence of an answer.
    card
        All that the bundle says.
    """

    trained: TrainedClassifier
    panel: Panel
    vocabulary: LabelVocabulary
    threshold: float
    card: dict[str, Any]

    @property
    def terms(self) -> dict[str, Term]:
        """Cell Ontology terms by class; may be empty."""
        return {name: Term(**term) for name, term in self.card["terms"].items()}

    @classmethod
    def load(cls, folder: Path) -> "PublishedClassifier":
        """Read a bundle.

        Raises
        ------
        InputError
            It is damaged, of another task, or of a classifier that this version does not make.
        """
        return cls.of(Bundle.load(folder, TASK), folder)

    @classmethod
    def of(cls, bundle: Bundle, folder: Path) -> "PublishedClassifier":
        """What a bundle of the task, read from ``folder``, holds; raises as :meth:`load`."""
        card = bundle.card
        try:
            labels = {key: tuple(names) for key, names in card["labels"].items()}
            vocabulary = LabelVocabulary(**labels)
            plan = _plan(card["classifier"])
            temperature, threshold = float(card["temperature"]), float(card["threshold"])
            if not (0 < temperature < math.inf and 0 <= threshold <= 1):
                raise ValueError(f"temperature {temperature:g}, threshold {threshold:g}")
            trained = TrainedClassifier(plan, len(vocabulary.classes), bundle.state, temperature)
            trained.restored(len(bundle.panel.genes))
        except _UNUSABLE as error:
            raise InputError(
                f"{folder}: the classifier that the bundle names is not one that this version "
                f"makes ({error}): use the version that made the bundle"
            ) from None
        return cls(trained, bundle.panel, vocabulary, threshold, card)


def _plan(values: dict[str, Any]) -> ClassifierPlan:
    return ClassifierPlan(
        name=values["name"],
        form=values["form"],
        shape=shape_of(values["name"], values["form"]),
        training=TypeAdapter(ClassifierTraining).validate_python(values["training"]),
        fitted=values["fitted"],
        trained=tuple(values.get("trained", ())),
    ).with_shape(values["shape"])
