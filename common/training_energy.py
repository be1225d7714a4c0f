"""What the training of a bundle took, and what it comes to for each of those who start from it.

A bundle's card has it as ``training_energy``: of the run that made the bundle, up to its
publication, and of those before it whose bundles it started from.
"""

from collections.abc import Mapping
from typing import Any

from common.energy import ESTIMATED, MEASURED

USERS = (1, 10, 100)
NOT_SAID = {"known": False, "reason": "the bundle does not say", "earlier": []}


def of_run(energy: Mapping[str, Any], earlier: list[dict[str, Any]]) -> dict[str, Any]:
    """The card's ``training_energy``, of what ``run.json`` has as ``energy`` so far.

    Parameters
    ----------
    earlier
        Of the bundles that it started from, the oldest first; each as :func:`as_earlier` gives.
    """
    parts = {who: energy.get(who, {"known": False}) for who in ("coordinator", "sites")}
    said = {
        who: {key: part[key] for key in ("known", "kwh", "kg", "source", "n_sites") if key in part}
        for who, part in parts.items()
    }
    if not parts["sites"].get("known", False) or "kwh" not in parts["coordinator"]:
        reason = parts["sites"].get("reason", "the coordinator is not metered")
        return {"known": False, "reason": reason, **said, "earlier": earlier}
    estimated = any(part["source"] == ESTIMATED for part in parts.values())
    sums = {key: sum(part[key] for part in parts.values()) for key in ("kwh", "kg")}
    source = ESTIMATED if estimated else MEASURED
    return {"known": True, **sums, "source": source, **said, "earlier": earlier}


def as_earlier(card: Mapping[str, Any], digest: str) -> list[dict[str, Any]]:
    """A bundle's training and those before it, for the card of one that started from it.

    Parameters
    ----------
    card
        The bundle's.
    digest
        Of the bundle.
    """
    said = card.get("training_energy", NOT_SAID)
    own = {key: said[key] for key in ("known", "kwh", "kg", "source", "reason") if key in said}
    return [*said["earlier"], {"run": str(card["run"]), "bundle": digest, **own}]


def all_of(earlier: list[dict[str, Any]]) -> dict[str, Any]:
    """Of a chain of trainings, all together; not known where one of them is not."""
    unknown = [one for one in earlier if not one["known"]]
    if unknown:
        whose = ", ".join(f"run {one['run']}" for one in unknown)
        return {"known": False, "reason": f"that of {whose} is not known"}
    sums = {key: sum(one[key] for one in earlier) for key in ("kwh", "kg")}
    estimated = any(one["source"] == ESTIMATED for one in earlier)
    return {"known": True, **sums, "source": ESTIMATED if estimated else MEASURED}


def amortised(
    bundle: Mapping[str, Any], own: Mapping[str, Any], scratch_kwh: float = 0.0
) -> dict[str, Any]:
    """What a fine-tuned classifier took, with its part in the bundle's training.

    Parameters
    ----------
    bundle, own
        Of :func:`all_of`, and of :func:`of_run` of the fine-tuning.
    scratch_kwh
        What the same takes from scratch, kWh; 0 where that is not known.

    Returns
    -------
    figures
        ``users``: by number of the bundle's users, kWh and kg of a part and of the fine-tuning;
        ``break_even_users``: from how many on the bundle and all fine-tunings take less than
        training from scratch, None where they never do. Neither is there where it is not known.
    """
    figures: dict[str, Any] = {}
    if not (bundle["known"] and own["known"]):
        return figures
    figures["users"] = {
        str(n): {key: bundle[key] / n + own[key] for key in ("kwh", "kg")} for n in USERS
    }
    if scratch_kwh:
        saved = scratch_kwh - own["kwh"]
        figures["scratch_kwh"] = scratch_kwh
        figures["break_even_users"] = bundle["kwh"] / saved if saved > 0 else None
    return figures
