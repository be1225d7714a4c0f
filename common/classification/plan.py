"""What a run of `classify` trains, and how: its classifier with the run's own values put in."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from pydantic import TypeAdapter

from common.config import RunConfig
from common.errors import ConfigError
from common.models.classifiers.build import exchanged_names, shape_of
from common.models.classifiers.recipe import FROM_BUNDLE_JOINT, ClassifierTraining
from common.models.classifiers.registry import CLASSIFIERS
from common.pruned import prune_after

Fitted = Literal["network", "linear", "trees"]
# Settings of a run by what alone reads them.
OF_TREES = ("max_depth", "gene_share")
OF_LOCAL_TRAINING = ("logit_adjustment", "pseudo_count", "local_epochs")


@dataclass(frozen=True)
class ClassifierPlan:
    """A classifier and its training.

    Parameters
    ----------
    name
        In the registry of classifiers.
    form, shape
        Which of its forms, and what that fixes.
    training
        Its recipe.
    fitted
        In rounds of training as a ``"network"``; a ``"linear"`` model at its one optimum; or as
        ``"trees"``.
    trained
        Parts of a network that are trained and exchanged; none, all are. A checkpoint's shape has
        its own.
    """

    name: str
    form: str
    shape: Any
    training: ClassifierTraining
    fitted: Fitted
    trained: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        """All of it as JSON values, for a bundle's card."""
        return json.loads(json.dumps(asdict(self)))

    def with_shape(self, values: dict[str, Any]) -> Self:
        """The same with another shape of its kind, of JSON values.

        Raises
        ------
        ValidationError
            They are none.
        """
        return replace(self, shape=TypeAdapter(type(self.shape)).validate_python(values))


def classifier_plan(config: RunConfig) -> ClassifierPlan:
    """The plan of a run.

    Raises
    ------
    ConfigError
        The classifier, its form or a part of it is unknown, a setting is none that it reads, or no
        round is left after pruning.
    """
    name = config.classifier
    entry, shape = CLASSIFIERS.get(name), shape_of(name, config.classifier_form)
    # A strategy joins models that sites have trained: a linear one is then trained like a network.
    trained = entry.fitted == "linear" and config.strategy
    fitted: Fitted = "network" if trained else entry.fitted
    _require_read(config, fitted)
    training = entry.training
    if fitted == "network" and config.strategy_name == "fedsgd":
        training = replace(training, **entry.joint)
    if config.start_from and fitted == "network":
        joint = config.strategy_name == "fedsgd"
        training = replace(training, **(FROM_BUNDLE_JOINT if joint else entry.from_bundle))
    if config.checkpoint:
        # Whose shape is known where the folder is, at the coordinator, and told with the model.
        training = replace(training, **entry.fine_tuned)
    if fitted == "trees":
        own = {key: getattr(config, key) for key in OF_TREES}
        shape = replace(shape, **{key: value for key, value in own.items() if value})
    given = {
        key: getattr(config, key)
        for key in ("rounds", "local_epochs", "batch_size", "learning_rate", "class_weights")
    }
    given = {key: value for key, value in given.items() if value}
    for key in ("patience", "logit_adjustment", "pseudo_count"):
        if getattr(config, key) >= 0:
            given[key] = getattr(config, key)
    if config.target_f1:
        given["validate_every"] = 1
    training = replace(training, validation_share=config.validation_share, **given)
    if training.patience and not training.validation_share:
        raise ConfigError(
            f"patience = {training.patience} with validation-share = 0: nothing tells when to "
            "stop; hold cells out, as validation-share = 0.1, or set patience = 0"
        )
    trained = () if config.checkpoint else config.trained_parts or ()
    if fitted == "network":
        prune_after(config, training.rounds)
        # Names are the same over any genes and classes.
        exchanged_names(name, shape, 2, 2, trained)
    return ClassifierPlan(name, config.classifier_form, shape, training, fitted, trained)


def _require_read(config: RunConfig, fitted: Fitted) -> None:
    """Refuse settings that would do nothing."""
    keys: tuple[str, ...] = ()
    if fitted != "trees":
        keys += (*OF_TREES, "forest")
    if fitted != "network" or config.strategy_name == "fedsgd":
        keys += OF_LOCAL_TRAINING
    if fitted != "network":
        keys += ("batch_size", "strategy", "precision", "prune_share", "prune_round")
        keys += ("trained_layers",)
    if fitted == "linear":
        keys += ("learning_rate", "patience")
    defaults = type(config).model_fields
    given = [key for key in keys if getattr(config, key) != defaults[key].default]
    if given:
        named = ", ".join(f"{key.replace('_', '-')} = {getattr(config, key)}" for key in given)
        how = {
            "network": f"is trained by strategy = {config.strategy_name}",
            "linear": "is brought to its one optimum where no strategy is named",
            "trees": "is grown from sums of gradients",
        }[fitted]
        raise ConfigError(
            f"classifier = {config.classifier} {how}, which does not read {named}; leave it out"
        )
