"""What left the sites, in messages and bytes, by phase and by site, and how long phases took."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.wire import OFFER, PHASES
from common.wire_fields import Masked, Shares
from report.run_record import RunRecord

COORDINATOR = "coordinator"


@dataclass(frozen=True)
class Field:
    """A field that leaves a site, and what it means."""

    name: str
    meaning: str


@dataclass
class PhaseTraffic:
    """What the sites sent in one phase.

    Parameters
    ----------
    summed
        Fields that reach the coordinator as sums over sites.
    public
        Fields that everyone may see.
    masked
        Its messages carried masked vectors.
    messages, bytes
        Sent by all sites.
    received
        Bytes sent to them.
    by_site
        Bytes by site.
    seconds, times
        How long it took in all, key exchange and openings of its sums included; None where that is
        part of another phase. How often it was run.
    """

    name: str
    meaning: str
    summed: list[Field]
    public: list[Field]
    masked: bool = False
    messages: int = 0
    bytes: int = 0
    received: int = 0
    by_site: Counter[str] = field(default_factory=Counter)
    seconds: float | None = None
    times: int = 0

    @property
    def bytes_per_site(self) -> tuple[int, int]:
        """The least and the most that a site sent."""
        values = self.by_site.values()
        return (min(values), max(values)) if values else (0, 0)


@dataclass
class SiteTraffic:
    """What one site sent and received, in messages and bytes."""

    site: str
    messages: int = 0
    masked: int = 0
    public: int = 0
    received: int = 0


def fields_of(phase: str, masked: bool) -> tuple[list[Field], list[Field]]:
    """The summed and the public fields of a phase; ``masked``: keys travel with the sums."""
    if phase not in PHASES:
        return [], []
    declared = PHASES[phase].fields
    summed = {n: f for n, f in declared.items() if isinstance(f, Masked | Shares)}
    public = {n: f for n, f in declared.items() if n not in summed}
    keys = [Field(", ".join(OFFER), "keys and key shares for the next sum")]
    return (
        [Field(name, entry.meaning) for name, entry in summed.items()],
        [Field(name, entry.meaning) for name, entry in public.items()]
        + (keys if masked and summed else []),
    )


def by_phase(record: RunRecord) -> list[PhaseTraffic]:
    """Every phase of the run in the order they began."""
    names = site_names(record)
    found: dict[str, PhaseTraffic] = {}
    backend = record.run.get("config", {}).get("secure-sum")
    for message in record.messages:
        name = message["phase"]
        if name not in found:
            meaning = PHASES[name].meaning if name in PHASES else ""
            found[name] = PhaseTraffic(name, meaning, *fields_of(name, backend == "masked"))
        phase = found[name]
        if message["from"] == COORDINATOR:
            phase.received += message["bytes"]
            continue
        phase.messages += 1
        phase.bytes += message["bytes"]
        phase.masked |= message["masked"]
        phase.by_site[names.get(message["from"], message["from"])] += message["bytes"]
    for name, seconds, times in _seconds(record.phases):
        if name in found:
            found[name].seconds, found[name].times = seconds, times
    return list(found.values())


def by_site(record: RunRecord) -> list[SiteTraffic]:
    """Every site of the run, by name; also nodes that never said which site they are."""
    names = site_names(record)
    found = {site: SiteTraffic(site) for site in record.sites}
    for message in record.messages:
        sent = message["from"] != COORDINATOR
        node = message["from"] if sent else message["to"]
        site = names.get(node, node)
        traffic = found.setdefault(site, SiteTraffic(site))
        if not sent:
            traffic.received += message["bytes"]
            continue
        traffic.messages += 1
        if message["masked"]:
            traffic.masked += message["bytes"]
        else:
            traffic.public += message["bytes"]
    return sorted(found.values(), key=lambda traffic: natural(traffic.site))


def site_names(record: RunRecord) -> Mapping[str, str]:
    """Sites by what the ledger calls them before they said their names."""
    sites = record.run.get("sites", {})
    return {f"node {about['node']}": site for site, about in sites.items() if "node" in about}


def natural(name: str) -> tuple[Any, ...]:
    """Sorts hospital-2 before hospital-10."""
    parts, digits = [], ""
    for character in [*name, ""]:
        if character.isascii() and character.isdigit():
            digits += character
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, character.lower()))
    return tuple(parts)


def _seconds(entries: Iterable[Mapping[str, Any]]) -> list[tuple[str, float, int]]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for entry in entries:
        found[entry["phase"]].append(entry["seconds"])
    return [(name, sum(seconds), len(seconds)) for name, seconds in found.items()]
