"""A generator of two releases, small enough to be checked by hand: counts, then clipped sums."""

import math

import numpy as np

from common.synthesis.generator import Generator, Stage
from common.synthesis.registry import GENERATORS, register_generator

STEPS, BOUND = 2**12, 2.0**36


class Tiny(Generator):
    """``counts`` of each class, then ``sums`` of what is left of a record's values."""

    name = "tiny"

    @property
    def stages(self):
        n, d = self.schema.n_classes, self.schema.n_genes
        share = self.options.get("counts-share", 0.25)
        return (
            Stage("counts", n, STEPS, share, BOUND),
            Stage("sums", n * d, STEPS, 1 - share, BOUND),
        )

    def statistics(self, stage, records, state):
        n, d = self.schema.n_classes, self.schema.n_genes
        total = np.zeros(stage.n_values, dtype=np.int64)
        for unit in range(records.n_units):
            mine = records.units == unit
            own = np.zeros((n, d if stage.name == "sums" else 1))
            for value, code in zip(records.values[mine], records.classes[mine], strict=True):
                own[code] += value - state["middle"] if stage.name == "sums" else 1.0
            norm = np.sqrt((own**2).sum())
            radius = self.schema.high if stage.name == "sums" else 1.0
            own *= STEPS * (1 - 1e-12) / radius * min(1.0, radius / max(norm, 1e-300))
            total += np.trunc(own).astype(np.int64).ravel()
        return total

    def take(self, stage, total, noise_sd, state):
        n, d = self.schema.n_classes, self.schema.n_genes
        if stage.name == "counts":
            middle = np.full(d, (self.schema.low + self.schema.high) / 2)
            return {"class_units": np.maximum(total / STEPS, 0.0), "middle": middle}
        sums = total.reshape(n, d) * self.schema.high / STEPS
        means = state["middle"] + sums / np.maximum(state["class_units"], 1.0)[:, None]
        return state | {"means": means, "noise_sd": np.array(noise_sd), "total": total}

    def sample(self, state, counts, rng):
        classes = np.repeat(np.arange(self.schema.n_classes), counts)
        values = rng.normal(state["means"][classes], 1.0)
        return np.clip(values, self.schema.low, self.schema.high), classes


def sensitivity(generator, stage, state, records_of):
    """The largest L2 norm of a unit's part over some units."""
    parts = [generator.statistics(stage, records, state) for records in records_of]
    return max(math.sqrt(float((part.astype(float) ** 2).sum())) for part in parts)


if "tiny" not in GENERATORS._entries:
    register_generator("tiny")(Tiny)
