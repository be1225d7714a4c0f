"""What a metric returns: a value, or the reason why it has none."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


class Undefined(Exception):
    """This metric has no value on this embedding; the message is the reason shown to the reader.

    Raised inside a metric only: ``register_metric`` turns it into a :class:`Score` of None.
    """


@dataclass(frozen=True)
class Score:
    """One metric on one embedding.

    Parameters
    ----------
    value
        The metric over all cells; None where it is not defined.
    reason
        Why there is no value.
    per_type
        The metric per cell type, for metrics that have such a thing; None where undefined.
    """

    value: float | None
    reason: str | None = None
    per_type: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self):
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "reason", self.reason or f"the metric gave {self.value}")
            object.__setattr__(self, "value", None)
