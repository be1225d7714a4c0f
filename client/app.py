"""The site's Flower ClientApp: one message in, one phase worked, one reply out.

On a real node every message starts a new process, so a phase's worker, and torch with it, is
imported only when the phase is called.
"""

import contextlib
import errno
import importlib
import logging
import time
import traceback
from dataclasses import replace

from flwr.app import ConfigRecord, Context, Message, Metadata, RecordDict
from flwr.clientapp import ClientApp

from client.outbox import Outbox, refusal
from client.site import Site, is_simulated, outbox_log_of
from client.work import begin_work, meter_of
from common.errors import DiskError, SyncytiumError
from common.logs import LOG, facts, logged_to
from common.policy import MB
from common.secure.by_name import site_sum
from common.secure.site_keys import SiteKeys
from common.session import session_name
from common.task_phases import require_phase
from common.wire import PHASES, phase_of
from strategies.records import Request, content_bytes, to_record

logger = logging.getLogger("syncytium.site")
app = ClientApp()
KEYS = "keys"
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def answer(message: Message, context: Context) -> Message:
    """Work one phase and reply; a fault is replied as an error without any of the site's values."""
    with contextlib.ExitStack() as logs:
        if outbox := outbox_log_of(dict(context.node_config)):
            logs.enter_context(logged_to(logger, outbox.with_name(LOG), run=str(context.run_id)))
        return _answer(message, context)


def _answer(message: Message, context: Context) -> Message:
    start = time.monotonic()
    phase = _phase_named(message.metadata)
    logger.debug("phase begins", extra=facts(phase=phase, session=message.metadata.group_id))
    name = str(message.metadata.dst_node_id)
    simulated, site = is_simulated(dict(context.node_config)), None
    keys = None
    try:
        run = session_name(str(context.run_id), message.metadata.group_id)
        keys = _keys(context.state, run)
        site = Site.from_context(
            dict(context.run_config), dict(context.node_config), context.run_id
        )
        require_phase(site.config, phase)
        site.policy.allow_bytes(content_bytes(message.content), f"came with {phase}")
        sums = site_sum(site.config, keys, name, run, site.guard)
        request = Request(message.content, site.policy.largest_message_mb * MB)
        content = _work(
            replace(site, sums=sums), request, keys, str(context.run_id), message.metadata
        )
        site.policy.allow_bytes(content_bytes(content), f"was to answer {phase}")
        done = {"bytes": content_bytes(content), "seconds": round(time.monotonic() - start, 3)}
        logger.debug("phase done", extra=facts(phase=phase, **done))
    except Exception as fault:
        error = fault
        if isinstance(fault, OSError) and fault.errno in UNWRITABLE:
            error = DiskError(fault.filename or "output-dir", fault)
        kind, reason, why = _refused(error, phase, site.node.data_path if site else "", simulated)
        log = site.outbox_log if site else outbox_log_of(dict(context.node_config))
        told = refusal(phase, kind, reason, why, log, str(context.run_id))
        content = to_record(told, {})
    # In the memory of Flower's node until the next message of the run, and nowhere else.
    if keys is not None:
        context.state[KEYS] = ConfigRecord({KEYS: keys.to_bytes()})
    return Message(content, reply_to=message)


def _phase_named(asked: Metadata) -> str:
    return asked.message_type.partition(".")[2]


def _keys(state: RecordDict, run: str) -> SiteKeys:
    """The keys of this session; those of another, or of an earlier run of a series, are dropped."""
    if KEYS in state.config_records:
        keys = SiteKeys.from_bytes(state.config_records[KEYS][KEYS])
        if keys.run == run:
            return keys
    return SiteKeys(run)


def _work(site: Site, request: Request, keys: SiteKeys, run: str, asked: Metadata) -> RecordDict:
    phase = _phase_named(asked)
    worker = importlib.import_module(f"client.phases.{phase}")
    meter, context = meter_of(site), None
    if phase_of(phase).masked():
        # Before anything is computed, or waited for: a refusal must not tell of the site's data.
        context = request.context(site.config.digest())
        keys.count(context, phase)
        site.sums.begin(context, request.values["keys"])
    work = begin_work(site, meter, phase, run, asked, request)
    outbox = Outbox(phase, site.outbox_log, run, work.entry)
    worker.run(site, request, outbox)
    return to_record(*outbox.seal(site.sums, context))


def _refused(error: Exception, phase: str, path: str, simulated: bool) -> tuple[str, str, str]:
    """Kind and reason as they may leave the site, and the whole of it for its own log."""
    if isinstance(error, SyncytiumError):
        text = str(error) if path in str(error) else f"{path}: {error}"
        told = facts(event="refused", phase=phase, kind=type(error).__name__, reason=error.public)
        logger.error("%s: %s", phase, text, extra=told)
        return type(error).__name__, text if simulated else error.public, text
    # Without the error's text, which may hold values of the data: outbox.jsonl has it.
    frames = "".join(traceback.format_tb(error.__traceback__))
    kind = type(error).__name__
    told = facts(event="failed", phase=phase, kind=kind)
    logger.error("%s failed at %s with %s:\n%s", phase, path, kind, frames, extra=told)
    reason = f" at {path}: {error}" if simulated else "; the site's own log has the reason"
    text = f"{kind} in phase {phase}"
    return "InternalError", f"{text}{reason}", f"{text} at {path}: {error}"


for _name, _phase in PHASES.items():
    (app.train if _phase.train else app.query)(_name)(answer)
