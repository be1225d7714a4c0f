"""What a run's green options came to, in sentences."""

from typing import Any


def green_notes(run: dict[str, Any]) -> list[str]:
    """Of ``run.json``: sites that trained in float32 after all, and what was pruned."""
    notes = []
    in_float32 = run.get("float32_sites", {"n": 0})
    if in_float32["n"]:
        notes.append(
            f"{in_float32['n']} of {in_float32['of']} sites trained in float32: their device has "
            "no bf16"
        )
    if pruned := run.get("pruned"):
        notes.append(
            f"{pruned['share']:.0%} of {pruned['n_weights']:,} weights were pruned after round "
            f"{pruned['round']}: a site then sent {pruned['n_exchanged']:,} values in a round, "
            f"not {run['n_exchanged']:,}"
        )
    return notes
