"""The table of metrics; a metric enters it from its own file."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

from common.errors import ConfigError
from common.metrics.embedded import Embedded
from common.metrics.score import Score, Undefined
from common.registry import Registry

Metric = Callable[[Embedded], Score]
METRICS: Registry[Metric] = Registry("metric", "common.metrics")


def register_metric(
    name: str,
    *,
    title: str,
    better: Literal["higher", "lower"],
    group: Literal["mixing", "types", "other"] = "other",
    settings: Mapping[str, Any] | None = None,
) -> Callable[[Callable[[Embedded], Score | float]], Metric]:
    """Decorator: enter a metric under ``name``.

    The decorated function takes an :class:`Embedded` and returns a float or a :class:`Score`. What
    it raises as :class:`Undefined` becomes a score of None with that reason.

    Parameters
    ----------
    title
        What the metric shows, in plain words for a table's row.
    better
        Whether a higher or a lower value is the better one.
    group
        What it judges: how well batches mix, how well cell types are kept, or neither.
    settings
        Its own parameters as plain values, for the settings in ``evaluation.json``.

    Raises
    ------
    ConfigError
        ``better`` or ``group`` is not one of the values above, or the name is taken.
    """
    for key, value, known in (
        ("better", better, ("higher", "lower")),
        ("group", group, ("mixing", "types", "other")),
    ):
        if value not in known:
            raise ConfigError(f"metric {name!r}: {key}={value!r}; use one of {', '.join(known)}")

    def enter(function: Callable[[Embedded], Score | float]) -> Metric:
        @functools.wraps(function)
        def metric(embedded: Embedded) -> Score:
            try:
                result = function(embedded)
            except Undefined as undefined:
                return Score(None, reason=str(undefined))
            return result if isinstance(result, Score) else Score(float(result))

        attributes = {"title": title, "better": better, "group": group}
        return METRICS.register(name, **attributes, settings=dict(settings or {}))(metric)

    return enter
