"""What left one site, from its own ``outbox.jsonl``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.wire import OFFER, PHASES

# How `outbox.jsonl` calls what a sum hides, and what it does not.
PUBLIC, MASKED = "public", "masked"


@dataclass
class SentField:
    """A field over all messages of a phase: ``bytes`` in all, ``shape`` of the last."""

    name: str
    meaning: str
    visibility: str
    shape: list[int]
    bytes: int = 0


@dataclass
class SentPhase:
    """What the site sent in one phase."""

    name: str
    meaning: str
    messages: int = 0
    seconds: float = 0.0
    fields: dict[str, SentField] = field(default_factory=dict)

    def bytes_of(self, *visibilities: str) -> int:
        """Bytes of the fields of these kinds; of all without any."""
        return sum(
            entry.bytes
            for entry in self.fields.values()
            if not visibilities or entry.visibility in visibilities
        )


@dataclass
class Sent:
    """What a site sent in one run.

    Parameters
    ----------
    phases
        In the order they began.
    refusals
        What it refused, as it was told to the coordinator.
    other_runs
        How many other runs the log has.
    """

    phases: list[SentPhase]
    refusals: list[Mapping[str, Any]]
    other_runs: int


def sent(lines: Iterable[Mapping[str, Any]], run: str) -> Sent:
    """What lines of ``outbox.jsonl`` say of a run."""
    phases: dict[str, SentPhase] = {}
    refusals, others = [], set()
    for line in lines:
        if line.get("run") != run:
            others.add(line.get("run"))
            continue
        if "refused" in line:
            refusals.append({"phase": line["phase"], **line["refused"]})
            continue
        name = line["phase"]
        declared = PHASES[name].fields if name in PHASES else {}
        meaning = PHASES[name].meaning if name in PHASES else ""
        phase = phases.setdefault(name, SentPhase(name, meaning))
        phase.messages += 1
        phase.seconds += line.get("seconds", 0.0)
        for entry in line["fields"]:
            known = declared.get(entry["field"]) or OFFER.get(entry["field"])
            one = phase.fields.setdefault(
                entry["field"],
                SentField(
                    entry["field"],
                    known.meaning if known else "",
                    entry["visibility"],
                    entry["shape"],
                ),
            )
            one.shape = entry["shape"]
            one.bytes += entry["bytes"]
    return Sent(list(phases.values()), refusals, len(others))
