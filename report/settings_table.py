"""The settings of a run that differ from their defaults, and the network they resolve to."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from common.config import RunConfig
from common.errors import SyncytiumError
from common.presets import resolve


class Setting(NamedTuple):
    """A setting that is not at its default."""

    key: str
    value: Any
    default: Any
    meaning: str


def changed_settings(config: Mapping[str, Any]) -> list[Setting]:
    """The settings that differ from this version's defaults, in its order."""
    meanings = {
        name.replace("_", "-"): entry.description or ""
        for name, entry in RunConfig.model_fields.items()
    }
    defaults = RunConfig().flat()
    known = [key for key in defaults if key in config]
    return [
        Setting(key, config[key], defaults.get(key, ""), meanings.get(key, ""))
        for key in [*known, *(key for key in config if key not in defaults)]
        if config[key] != defaults.get(key)
    ]


def network(config: Mapping[str, Any]) -> dict[str, Any]:
    """The network and its training, the run's own values put in; {} if this version knows none."""
    try:
        parsed = RunConfig.parse(dict(config), where="run.json")
        if parsed.task == "synthesize":
            return {}  # its generator's options are in the statement of privacy
        if parsed.task == "classify":
            return _classifier(parsed)
        preset = resolve(parsed)
    except SyncytiumError:
        return {}
    parts = {"model": preset.model, **asdict(preset.shape), **asdict(preset.training)}
    parts |= {"principal_axes": preset.principal_axes, "refit_decoder": preset.refit_decoder}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in parts.items()}


def _classifier(config: RunConfig) -> dict[str, Any]:
    from common.classification.plan import classifier_plan

    plan = classifier_plan(config)
    values = plan.values
    # A checkpoint's shape is its own, and a bundle's.
    shape = {"form": plan.form, **values["shape"]} if not config.goes_on else {}
    return {"classifier": plan.name, **shape, **values["training"]}
