"""Which sites a run lost, when and why, and when they came back."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from server.runs import RunFolder

# Losses of one site after which it is not waited for any more.
OFTEN = 3


@dataclass
class Loss:
    """A site that was lost.

    Parameters
    ----------
    site, phase, reason
        Who, in which phase, and why as far as the coordinator knows.
    may_return
        It did not answer: a lost node, a killed process. Not a site that answered with an error,
        and not one that is lost for the third time.
    time, returned
        When; ``returned`` is "" before it takes part again.
    """

    site: str
    phase: str
    reason: str
    may_return: bool
    time: str
    returned: str = ""


class Losses:
    """The losses of a run, kept in ``run.json``: all as ``losses``, open ones as ``lost_sites``."""

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.open: dict[int, Loss] = {}
        self._earlier = folder.entry("losses", [])
        self._all: list[Loss] = []

    def enter(self, node_id: int, site: str, phase: str, reason: str, may_return: bool) -> None:
        """A site is lost."""
        # What fails every time would hold up the others every time.
        again = sum(loss.site == site for loss in self._all) < OFTEN - 1
        reason += "" if again else f"; it was lost {OFTEN} times"
        loss = Loss(site, phase, reason, may_return and again, _now())
        self.open[node_id] = loss
        self._all.append(loss)
        self._note()

    def returned(self, node_id: int, site: str) -> None:
        """A lost site takes part again; it may have been lost before it said its name."""
        loss = self.open.pop(node_id)
        loss.site, loss.returned = site, _now()
        self._note()

    def moved(self, node_id: int, now: int) -> None:
        """A lost site has come back as another node."""
        self.open[now] = self.open.pop(node_id)

    def _note(self) -> None:
        entries: dict[str, Any] = {
            "losses": [*self._earlier, *(asdict(loss) for loss in self._all)]
        }
        entries["lost_sites"] = {loss.site: loss.reason for loss in self.open.values()}
        self.folder.note(**entries)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def together(failures: list[tuple[str, str]]) -> str:
    """Several sites' reasons as one text; of sites that fail alike the first one's alone."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for site, reason in failures:
        # Each simulated site's reason begins with the path of its own file.
        alike.setdefault(reason.rpartition(".h5ad: ")[2] or reason, []).append((site, reason))
    texts = []
    for (site, reason), *others in alike.values():
        more = f" (and {len(others)} more alike)" if others else ""
        texts.append(f"{site}: {reason}{more}")
    return "; ".join(texts)
