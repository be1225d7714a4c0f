"""What a fine-tuned classifier took beside the bundle that it started from, in words."""

import math
from typing import Any

from report.energy import in_kg, in_kwh


def fine_tuning(run: dict[str, Any]) -> list[str]:
    """Sentences of a run that started from a bundle; none of another."""
    if "started_from" not in run:
        return []
    lines = [f"Started from the bundle of run {run['started_from']['run']}"]
    if new := run.get("new_classes"):
        lines.append(f"New classes, which the bundle does not have: {', '.join(new)}")
    if untrained := run.get("untrained_labels"):
        lines.append(
            f"Too few sites hold {', '.join(untrained)}: the bundle's classes are as they were, "
            "and such cells trained nothing here"
        )
    if "fine_tuning" not in run:
        return lines
    figures, own = run["fine_tuning"], run["training_energy"]
    bundle = figures["bundle"]
    lines.append(f"The bundle's own training took {_figures(bundle)}; this run's {_figures(own)}")
    if users := figures.get("users"):
        parts = "; ".join(
            f"{n} user{'' if n == '1' else 's'}: {in_kwh(one['kwh'])}, {in_kg(one['kg'])}"
            for n, one in users.items()
        )
        lines.append(f"A user's share of the bundle with this run's training, by users: {parts}")
    if "break_even_users" in figures:
        lines.append(_break_even(figures))
    return lines


def _break_even(figures: dict[str, Any]) -> str:
    scratch, users = in_kwh(figures["scratch_kwh"]), figures["break_even_users"]
    if users is None:
        return f"Training from scratch took {scratch}, no more than this: the bundle saves nothing"
    n = max(1, math.ceil(users))
    return (
        f"Training from scratch took {scratch}: the bundle saves energy from {n:,} "
        f"user{'' if n == 1 else 's'} on"
    )


def _figures(energy: dict[str, Any]) -> str:
    if not energy["known"]:
        return f"what is not known ({energy['reason']})"
    return f"{in_kwh(energy['kwh'])}, {in_kg(energy['kg'])} ({energy['source']})"
