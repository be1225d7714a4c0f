"""Federation: send a phase to every site and gather the replies, with deadlines and byte counts."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from flwr.app import Message
from flwr.serverapp import Grid

from common.config import RunConfig
from common.errors import SecureSumError, SiteFailure, SiteLost, UpdateError
from common.logs import facts
from server.losses import Losses, together
from server.runs import RunFolder
from strategies.describe import Describe
from strategies.phase import PhaseStrategy
from strategies.records import content_bytes, values_of
from strategies.secure_sum import UPLOAD

logger = logging.getLogger("syncytium.server")
Result = TypeVar("Result")

# A poll follows after this share of the time waited: a reply is seen at most that much late.
POLL_SHARE, FASTEST_POLL, SLOWEST_POLL = 0.02, 0.01, 0.25
SETTLING = 1.0
# A site that was lost is asked whether it is back: how long for, and how soon again.
PROBE_SECONDS, PROBE_AGAIN = 60.0, 120.0


class Federation:
    """The sites of a run.

    Parameters
    ----------
    grid
        Flower's way to the sites.
    config
        The run's settings: deadline, least number of sites, what a failed site means.
    folder
        Receives the ledger.
    """

    def __init__(self, grid: Grid, config: RunConfig, folder: RunFolder):
        self.grid = grid
        self.config = config
        self.folder = folder
        self.losses = Losses(folder)
        self.session = ""
        # Told when a phase begins (without its name) and when it has ended.
        self.metered: Callable[..., None] = lambda *phase: None
        # Enters what was used so far into run.json.
        self.note_energy: Callable[[], None] = lambda: None
        self.node_ids = self._wait_for_sites()
        # Those that the nodes were registered with, until the sites say theirs.
        self.names = {node.node_id: node.name for node in grid.get_nodes() if node.name}
        self._introduced = False
        self._probed = 0.0

    def introduce(self, names: dict[int, str]) -> None:
        """Take the sites' own names, by node."""
        self.names = names
        self._introduced = True

    def name(self, node_id: int) -> str:
        """A site's name once it has described itself."""
        return self.names.get(node_id, f"node {node_id}")

    def run(self, strategy: PhaseStrategy[Result], round_: int = 0) -> Result:
        """One phase: all trips of it, then its result.

        Raises
        ------
        SiteFailure
            A site failed and the run is to stop then.
        SiteLost
            A site did not answer and the run is to wait for it.
        SecureSumError
            Too few sites are left.
        UpdateError
            A site's part was not finite: nothing is opened, and the site is left out from now on.
        """
        return self.run_with_reply(strategy, round_)[0]

    def run_with_reply(
        self, strategy: PhaseStrategy[Result], round_: int = 0
    ) -> tuple[Result, Message]:
        """Like :meth:`run`, with one of the replies, which Flower's strategies want to see."""
        start = time.monotonic()
        self.metered()
        try:
            result, first = self._trips(strategy, round_)
        finally:
            self.metered(strategy.phase)
        seconds = round(time.monotonic() - start, 3)
        done = facts(
            phase=strategy.phase, round=round_, seconds=seconds, n_sites=len(self.node_ids)
        )
        logger.debug("phase done", extra=done)
        return result, first

    def ask_in_passing(self, strategy: PhaseStrategy[Result], seconds: float) -> Result:
        """A phase that no result hangs on: nobody is lost or waited for because of it.

        Of the last phase of a run alone: after it the keys of the sums may be in disorder.

        Raises
        ------
        SecureSumError
            A site failed, or did not answer within ``seconds`` or its deadline if that is less.
        """
        seconds = min(seconds, self.config.deadline_of(strategy.phase))
        exchange = partial(self._exchange, deadline=seconds, all_or_none=True)
        return self._trips(strategy, 0, exchange)[0]

    def _trips(
        self,
        strategy: PhaseStrategy[Result],
        round_: int,
        exchange: Callable[..., list[Message]] | None = None,
    ) -> tuple[Result, Message]:
        exchange = exchange or self._exchange
        request = strategy.request(round_, self.node_ids)
        replies = exchange(strategy.messages(request, self.node_ids), strategy.receive)
        first = replies[0]
        while messages := strategy.follow_up(replies):
            replies = exchange(messages)
        return strategy.aggregate(round_, replies), first

    def _wait_for_sites(self) -> list[int]:
        wanted, start = self.config.n_sites, time.monotonic()
        seen: list[int] = []
        settled = start
        while True:
            now = time.monotonic()
            present = sorted(self.grid.get_node_ids())
            if present != seen:
                seen, settled = present, now
                names = sorted(node.name for node in self.grid.get_nodes() if node.name)
                connected = {"sites": len(seen), "of": wanted, "registered": names}
                self.folder.note(connected=connected)
                logger.info("%d sites connected", len(seen))
            enough = len(seen) >= (wanted or self.config.min_sites)
            if enough and (wanted or now - settled >= SETTLING):
                return seen[:wanted] if wanted else seen
            if now - start > self.config.deadline:
                raise SiteFailure(
                    f"{len(seen)} of {wanted or self.config.min_sites} sites connected within "
                    f"{self.config.deadline:g} s; start the others, or set n-sites or deadline"
                )
            time.sleep(0.1)

    def _exchange(
        self,
        messages: list[Message],
        receive: Callable[[Message], None] = lambda reply: None,
        deadline: float = 0.0,
        probe: bool = False,
        all_or_none: bool = False,
    ) -> list[Message]:
        if not messages:
            return []
        phase = messages[0].metadata.message_type.partition(".")[2]
        waiting = self._push(messages, phase)
        replies, failures, unusable = [], {}, 0
        answered: set[int] = set()
        deadline = deadline or self.config.deadline_of(phase)
        start = time.monotonic()
        while waiting and (waited := time.monotonic() - start) < deadline:
            arrived = list(self.grid.pull_messages(list(waiting)))
            for reply in arrived:
                # An error reply of a lost node carries another sender: map by the message.
                node_id = waiting.pop(reply.metadata.reply_to_message_id)
                error = _error(reply)
                self._record(phase, self.name(node_id), "coordinator", reply)
                if error is None:
                    receive(reply)
                    replies.append(reply)
                else:
                    failures[node_id] = error["reason"]
                    # Keys that it lost with its node it can be given anew.
                    if error["kind"] not in ("", SecureSumError.__name__):
                        answered.add(node_id)
                    unusable += error["kind"] == UpdateError.__name__
            if waiting:
                time.sleep(min(max(POLL_SHARE * waited, FASTEST_POLL), SLOWEST_POLL))
        for node_id in waiting.values():
            failures[node_id] = f"no answer within {deadline:g} s"
        if probe:
            return replies
        if all_or_none and failures:
            text = "; ".join(f"{self.name(n)}: {reason}" for n, reason in failures.items())
            raise SecureSumError(f"{phase}: {text}")
        # An update that is not finite costs its site and the round, not the run.
        enough = len(self.node_ids) - len(failures) >= self.config.min_sites
        goes_on = unusable == len(failures) and enough
        self._lose(phase, failures, answered, goes_on)
        if unusable:
            text = "; ".join(f"{self.name(n)}: {reason}" for n, reason in failures.items())
            raise UpdateError(f"does not count: {text}")
        order = {node_id: i for i, node_id in enumerate(self.node_ids)}
        return sorted(replies, key=lambda reply: order[reply.metadata.src_node_id])

    def _push(self, messages: list[Message], phase: str) -> dict[str, int]:
        nodes = [message.metadata.dst_node_id for message in messages]
        for node_id, message in zip(nodes, messages, strict=True):
            message.metadata.group_id = self.session
            self._record(phase, "coordinator", self.name(node_id), message)
        ids = [str(i) for i in self.grid.push_messages(messages)]
        return dict(zip(ids, nodes, strict=True))

    def _record(self, phase: str, sender: str, receiver: str, message: Message) -> None:
        n_bytes, summed = 0, False
        if message.has_content():
            n_bytes, summed = content_bytes(message.content), UPLOAD in message.content
        entry = {"from": sender, "to": receiver, "phase": phase, "bytes": n_bytes}
        self.folder.ledger(**entry, masked=summed and self.config.secure_sum != "off")

    def _lose(
        self, phase: str, failures: dict[int, str], answered: set[int], goes_on: bool
    ) -> None:
        """Enter losses; ``answered`` are sites that gave an error and would give it again."""
        if not failures:
            return
        for node_id, reason in failures.items():
            may_return = node_id not in answered
            self.losses.enter(node_id, self.name(node_id), phase, reason, may_return)
        text = together(
            sorted((self.name(node_id), reason) for node_id, reason in failures.items())
        )
        remaining = [node_id for node_id in self.node_ids if node_id not in failures]
        policy = self.config.on_site_error
        if not goes_on and (policy == "stop" or (policy == "wait" and answered)):
            raise SiteFailure(f"phase {phase} failed at {text}")
        if policy == "wait" and not goes_on:
            self.node_ids = remaining
            raise SiteLost(f"phase {phase} lost {text}")
        if len(remaining) < self.config.min_sites:
            raise SecureSumError(
                f"phase {phase}: {len(remaining)} sites are left and min-sites is "
                f"{self.config.min_sites}. {text}"
            )
        logger.warning("phase %s goes on without %s", phase, text)
        self.node_ids = remaining

    def wait_for_lost(self) -> None:
        """Wait until every site that was lost is back.

        Raises
        ------
        SiteFailure
            One is not within ``wait`` seconds, or is lost for the third time.
        """
        for loss in self.losses.open.values():
            if not loss.may_return:
                raise SiteFailure(
                    f"{loss.site} cannot be waited for ({loss.phase}: {loss.reason}), and the run "
                    "goes on with all its sites or none: mend it, then --resume"
                )
        end, self._probed = time.monotonic() + self.config.wait, 0.0
        logger.warning("waiting for %s", self._missing())
        while not self.all_returned(again_after=1.0):
            if time.monotonic() > end:
                raise SiteFailure(
                    f"{self._missing()} did not come back within wait = {self.config.wait:g} s; "
                    "start it again and go on with --resume, or set on-site-error = continue"
                )
            time.sleep(min(1.0, self.config.wait / 10))

    def _missing(self) -> str:
        lost = sorted((loss.site, loss.reason) for loss in self.losses.open.values())
        return "; ".join(f"{site} ({reason})" for site, reason in lost)

    def all_returned(self, again_after: float = PROBE_AGAIN) -> bool:
        """Whether every site that was lost is back and can be; they take part again then."""
        lost = self.losses.open
        if not all(loss.may_return for loss in lost.values()):
            return False
        connected = set(self.grid.get_node_ids()) - set(self.node_ids)
        if len(connected) < len(lost) or time.monotonic() - self._probed < again_after:
            return False
        self._probed = time.monotonic()
        back = self._probe(sorted(connected))
        wanted = [loss.site for loss in lost.values()]
        # Who was lost before it said its name may be any of those that come.
        names = wanted if self._introduced else list(back)[: len(lost)]
        if len(names) < len(lost) or not set(names) <= set(back):
            return False
        for node_id, name in zip(list(lost), names, strict=True):
            now = back[name]
            self.losses.moved(node_id, now)
            self.losses.returned(now, name)
            self.names[now] = name
            self.node_ids.append(now)
        self.node_ids.sort()
        return True

    def _probe(self, node_ids: list[int]) -> dict[str, int]:
        """The nodes that answer, by the names of their sites."""
        describe = Describe()
        request = describe.request(0, node_ids)
        messages = describe.messages(request, node_ids)
        deadline = min(PROBE_SECONDS, self.config.deadline_of(describe.phase))
        replies = self._exchange(messages, deadline=deadline, probe=True)
        return {site.site: site.node_id for site in describe.aggregate(0, replies)}


def _error(reply: Message) -> dict[str, str] | None:
    if reply.has_error():
        reason = f"the site's process failed ({reply.error.reason or reply.error.code})"
        return {"kind": "", "reason": reason}
    return values_of(reply.content).get("error")
