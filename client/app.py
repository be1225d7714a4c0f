"""The site's Flower ClientApp: one message in, one phase worked, one reply out.

On a real node every message starts a new process, so a phase's worker, and torch with it, is
imported only when the phase is called.
"""

import importlib
import logging
import traceback

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.outbox import Outbox
from client.site import Site, is_simulated
from common.errors import SyncytiumError
from common.secure.backend import backend
from common.wire import PHASES
from strategies.records import Request, to_record

logger = logging.getLogger("syncytium.site")
app = ClientApp()


def answer(message: Message, context: Context) -> Message:
    """Work one phase and reply; a fault is replied as an error without any of the site's values."""
    phase = message.metadata.message_type.partition(".")[2]
    simulated, path = is_simulated(dict(context.node_config)), ""
    try:
        site = Site.from_context(
            dict(context.run_config), dict(context.node_config), context.run_id
        )
        path = site.node.data_path
        request = Request(message.content)
        sums = backend(site.config.secure_sum)
        if phase == "reveal":
            revealed = sums.reveal(request.values["survivors"], request.context)
            return Message(to_record({}, {"reveal": revealed}), reply_to=message)
        outbox = Outbox(phase, site.outbox_log)
        importlib.import_module(f"client.phases.{phase}").run(site, request, outbox)
        content = to_record(*outbox.seal(sums, request.context))
    except SyncytiumError as error:
        text = str(error) if path in str(error) else f"{path}: {error}"
        logger.error("%s: %s", phase, text)
        content = _refusal(type(error).__name__, text if simulated else error.public)
    except Exception as error:
        logger.error("%s failed at %s:\n%s", phase, path, traceback.format_exc())
        reason = f" at {path}: {error}" if simulated else "; the site's own log has the reason"
        content = _refusal("InternalError", f"{type(error).__name__} in phase {phase}{reason}")
    return Message(content, reply_to=message)


def _refusal(kind: str, reason: str):
    return to_record({"error": {"kind": kind, "reason": reason}}, {})


for _name, _phase in PHASES.items():
    (app.train if _phase.train else app.query)(_name)(answer)
app.query("reveal")(answer)
