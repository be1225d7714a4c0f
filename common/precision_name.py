"""The precisions of training that a run may name."""

from typing import Literal

PrecisionName = Literal["float32", "bf16"]
