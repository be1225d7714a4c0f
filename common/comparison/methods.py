"""The methods that a comparison knows by name, and how others are written."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import ConfigError
from common.registry import did_you_mean
from common.setting_text import setting_value
from common.settings import CARBON, READING, kebab

# Settings that say on what methods are compared: of all of them alike.
SHARED = (
    *("task", "data", "out", "resume", "seed", "target-f1", "evaluate"),
    *("test-share", "validation-share", "rare-labels", "label-sites", "ontology"),
    *("country", "grid-factor", "allow-fewer-epochs"),
    *map(kebab, CARBON),
    *map(kebab, READING),
)
# Of a folder and a column of the table.
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")
LEAST_BATCH = 2


@dataclass(frozen=True)
class Method:
    """What a method changes of the settings that are compared.

    Parameters
    ----------
    name
        Of the method.
    values
        Its own settings; or what makes them of those that it changes.
    batch_share
        Its cells per step, as a share of those that the run has without it.
    """

    name: str
    values: Mapping[str, Any] | Callable[[Mapping[str, Any]], dict[str, Any]] = field(
        default_factory=dict
    )
    batch_share: float = 1.0

    def own(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """Its own settings, as a change of ``base``."""
        return self.values(base) if callable(self.values) else dict(self.values)


def _reduced(base: Mapping[str, Any]) -> dict[str, Any]:
    """The smaller network of the same design."""
    if base.get("task", "correct") == "correct":
        return {"vae-form": "reduced"}
    form = base.get("classifier-form", "published")
    return {"classifier-form": "reduced" if form == "published" else f"{form}-reduced"}


METHODS = {
    method.name: method
    for method in (
        Method("baseline"),
        Method("small-batch", batch_share=0.5),
        Method("mixed-precision", {"precision": "bf16"}),
        Method("reduced", _reduced),
        Method("pruned", {"prune-share": 0.5}),
        Method("narrow-ring", {"ring-bits": 32}),
        Method("early-stopping", {"patience": 10}),
    )
}


def methods_of(text: str) -> list[Method]:
    """The methods of a list as ``baseline,narrow-ring,wide:hidden='800,800';batch-size=64``.

    Raises
    ------
    ConfigError
        A name is unknown, not fit for a folder or there twice, an entry is not ``key=value``, or
        there are fewer than two methods.
    """
    methods = [_method(part.strip()) for part in _split(text, ",") if part.strip()]
    names = [method.name for method in methods]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"--methods: {', '.join(twice)} is there twice; give each its own name")
    if len(methods) < 2:
        raise ConfigError(
            f"--methods {text!r}: a comparison needs at least 2 methods, as baseline,small-batch"
        )
    return methods


def _method(text: str) -> Method:
    name, colon, entries = text.partition(":")
    if not colon:
        if name in METHODS:
            return METHODS[name]
        raise ConfigError(
            f"--methods: no method {name!r}: {did_you_mean(name, METHODS)} One of your own is "
            "written NAME:key=value;key=value"
        )
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"--methods: {name!r} is no name: 1 to 32 of a-z, 0-9, '-' and '.', a letter or digit "
            "first"
        )
    if name in METHODS:
        raise ConfigError(f"--methods: {name} is a method already; give yours another name")
    values = {}
    for entry in filter(str.strip, _split(entries, ";")):
        key, equals, value = (part.strip() for part in entry.partition("="))
        if not equals:
            raise ConfigError(f"method {name}: {entry.strip()!r}: write it as key=value")
        if key in values:
            raise ConfigError(f"method {name}: {key} is there twice")
        values[key] = setting_value(key, value)
    if shared := sorted(set(values) & set(SHARED)):
        raise ConfigError(
            f"method {name}: {', '.join(shared)} says on what methods are compared, so it is of "
            "all of them: put it into the settings file, or give it by --set"
        )
    return Method(name, values)


def _split(text: str, separator: str) -> list[str]:
    """Parts between separators outside quotes, which keep their quotes."""
    return re.findall(rf"(?:[^{separator}\"']|\"[^\"]*\"|'[^']*'|[\"'])+", text)
