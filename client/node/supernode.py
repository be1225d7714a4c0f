"""`syncytium-supernode`: Flower's own SuperNode, with its arguments, without its waits.

Flower's SuperNode asks for messages every 3 s and starts a process for each, which loads Flower and
torch anew: some 6 s a message whatever the work. Here it asks several times a second during a
run, and a message's process is forked from one that has loaded them. A node that ends because the
coordinator was started anew, or by a fault, is started again. What it runs is Flower's code, and
`flower-supernode` does the same, slower.
"""

import argparse
import importlib
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from client.node.growing_waits import GrowingWaits
from client.node.preflight import check_coordinator, check_site
from common.errors import SyncytiumError
from strategies.waits import ask_again_soon

FLOWER = "1.39."
ASK_SECONDS = (0.1, 1.0)
# Exit code of a node that ended by a fault of its own (EX_TEMPFAIL).
AGAIN = 75
# In the environment of the node itself, which its keeper starts.
KEPT = "SYNCYTIUM_NODE_IS_KEPT"
# A node that fails sooner was refused. One that had been at work is tried again for so long.
YOUNG_SECONDS, TRY_SECONDS, PAUSE_SECONDS = 30.0, 300.0, 5.0


def _start_superexec(command: list[str], **options: Any) -> subprocess.Popen:
    """Our SuperExec in place of Flower's, which would start a new process for each message."""
    return subprocess.Popen(
        [sys.executable, "-m", "client.node.superexec", *command[1:]], **options
    )


def _check_site(arguments: argparse.Namespace) -> None:
    from flwr.common.config import parse_config_args

    check_site(parse_config_args([arguments.node_config] if arguments.node_config else None))


def _reaches_coordinator(arguments: argparse.Namespace) -> bool:
    root = arguments.root_certificates
    if not (arguments.insecure or root):
        # The system's own authorities, which gRPC knows.
        return True
    return check_coordinator(arguments.superlink, Path(root).expanduser() if root else None)


def _run(command: Any) -> None:
    """The node itself, until it ends."""
    from flwr.supercore.app_utils import start_parent_process_monitor
    from flwr.supernode import start_client_internal

    start_parent_process_monitor(os.getppid())
    waits = GrowingWaits(*ASK_SECONDS)
    start_client_internal.time = waits
    pull = start_client_internal._pull_and_store_message

    def noticed(**options: Any) -> int | None:
        run_id = pull(**options)
        if run_id is not None:
            waits.something_came()
        return run_id

    start_client_internal._pull_and_store_message = noticed
    start_client_internal.subprocess = SimpleNamespace(Popen=_start_superexec)
    ask_again_soon()
    code = AGAIN
    try:
        command.flower_supernode()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    # Threads of Flower's may live on, and the process with them, after its loop has failed.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _keep(arguments: argparse.Namespace) -> int:
    """Start the node, and again when it ends unasked; returns its last exit code.

    Raises
    ------
    ConfigError
        The coordinator, when it is there, is not as it should be.
    """
    asked: list[int] = []
    node: subprocess.Popen | None = None

    def stop(number: int, frame: Any) -> None:
        asked.append(number)
        if node is not None:
            node.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    tried_until, reached = 0.0, _reaches_coordinator(arguments)
    while True:
        started = time.monotonic()
        command = [sys.executable, "-m", "client.node.supernode", *sys.argv[1:]]
        node = subprocess.Popen(command, env={**os.environ, KEPT: "1"})
        try:
            while not reached and node.poll() is None:
                time.sleep(PAUSE_SECONDS)
                reached = _reaches_coordinator(arguments)
        except SyncytiumError:
            # Flower's node would try again for ever.
            node.kill()
            raise
        code = node.wait()
        now = time.monotonic()
        # 0 unasked: the coordinator was started anew and does not know it.
        if code in (0, AGAIN) or now - started > YOUNG_SECONDS:
            tried_until = now + TRY_SECONDS
        if asked or now > tried_until:
            return code
        print(f"syncytium-supernode: the node ended ({code}) and is started again", file=sys.stderr)
        time.sleep(PAUSE_SECONDS)
        if asked:
            return code


def main() -> None:
    """Flower's SuperNode with the command line's arguments."""
    import flwr

    if not flwr.__version__.startswith(FLOWER):
        print(
            f"flwr {flwr.__version__}: short waits are for {FLOWER}x; running flower-supernode",
            file=sys.stderr,
        )
        os.execvp("flower-supernode", ["flower-supernode", *sys.argv[1:]])
    # By name: the package has a function called like the module.
    command = importlib.import_module("flwr.supernode.cli.flower_supernode")
    if KEPT in os.environ:
        _run(command)
        return
    arguments = command._parse_args_run_supernode().parse_args()
    try:
        _check_site(arguments)
        sys.exit(_keep(arguments))
    except SyncytiumError as error:
        sys.exit(f"syncytium-supernode: {error}")


if __name__ == "__main__":
    main()
