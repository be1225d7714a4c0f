"""A whole federation in one process: a Flower Grid that calls the ClientApp directly."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from client.app import app as client_app
from common.config import RunConfig

RUN_ID = 7


class InProcessGrid(Grid):
    """Sites 1..n; ``tamper`` may change or drop a reply (return None).

    The sites are simulated ones, or real ones where ``node_configs`` gives each its own.
    """

    def __init__(
        self,
        n_sites: int,
        run_config: dict[str, Any],
        tamper: Callable[[Message], Message | None] = lambda reply: reply,
        node_configs: list[dict[str, Any]] | None = None,
        run_id: int = RUN_ID,
    ):
        self.n_sites = n_sites
        self.run_config = run_config
        self.tamper = tamper
        self.node_configs = node_configs or [
            {"partition-id": i, "num-partitions": n_sites} for i in range(n_sites)
        ]
        self.run_id = run_id
        self.replies: list[Message] = []
        self.states: dict[int, RecordDict] = {}
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, run_id, 1

    def set_run(self, run: Any) -> None: ...

    @property
    def run(self) -> Any:
        raise NotImplementedError

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return range(1, self.n_sites + 1)

    def get_nodes(self) -> Iterable[Any]:
        return [SimpleNamespace(node_id=i, name="") for i in self.get_node_ids()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ids = []
        for message in messages:
            node_id = message.metadata.dst_node_id
            message.metadata.__dict__["_message_id"] = str(uuid4())
            ids.append(message.metadata.message_id)
            context = Context(
                run_id=self.run_id,
                node_id=node_id,
                node_config=dict(self.node_configs[node_id - 1]),
                state=self.states.setdefault(node_id, RecordDict()),
                run_config=self.run_config,
            )
            TaskIdentity.node_id = node_id
            reply = self.tamper(client_app(message, context))
            self.states[node_id] = context.state
            if reply is not None:
                # As over a network: what the coordinator does to it is not seen elsewhere.
                self.replies.append(deepcopy(reply))
        TaskIdentity.node_id = 1
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        wanted = set(message_ids)
        arrived = [r for r in self.replies if r.metadata.reply_to_message_id in wanted]
        self.replies = [r for r in self.replies if r not in arrived]
        return arrived

    def send_and_receive(self, *args: Any, **kwargs: Any) -> Iterable[Message]:
        raise NotImplementedError


class Stopped(BaseException):
    """The coordinator's process ends here."""


def stopping(phase: str, times: int = 1) -> Callable[[Message], Message]:
    """A ``tamper`` that ends the coordinator at so many replies of a phase."""
    left = [times]

    def tamper(reply: Message) -> Message:
        left[0] -= reply.metadata.message_type.partition(".")[2] == phase
        if left[0] == 0:
            raise Stopped
        return reply

    return tamper


def run_in_process(
    out: Path,
    n_sites: int,
    *,
    tamper=lambda reply: reply,
    node_configs: list[dict[str, Any]] | None = None,
    run_id: int = RUN_ID,
    **settings: Any,
) -> None:
    """Run the ServerApp over in-process sites; settings are RunConfig's, with underscores."""
    from server.app import main

    values = {key.replace("_", "-"): value for key, value in settings.items()}
    config = RunConfig.parse({"out": str(out), **values}, where="test").flat()
    context = Context(
        run_id=run_id, node_id=1, node_config={}, state=RecordDict(), run_config=config
    )
    main(InProcessGrid(n_sites, config, tamper, node_configs, run_id), context)
