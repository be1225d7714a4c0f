"""`syncytium-supernode`: Flower's own SuperNode, with its arguments, without its waits.

Flower's SuperNode asks for messages every 3 s and starts a process for each, which loads Flower and
torch anew: some 6 s a message whatever the work. Here it asks several times a second, and a
message's process is forked from one that has loaded them. What it runs is Flower's code, and
`flower-supernode` does the same, slower.
"""

import argparse
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from client.node.preflight import check_coordinator, check_site
from common.errors import SyncytiumError
from strategies.waits import ask_again_soon

FLOWER = "1.39."
ASK_SECONDS = 0.25


class _ShortWaits:
    """The module ``time``, whose sleeps are no longer than between two questions."""

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, ASK_SECONDS))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def _start_superexec(command: list[str], **options: Any) -> subprocess.Popen:
    """Our SuperExec in place of Flower's, which would start a new process for each message."""
    return subprocess.Popen(
        [sys.executable, "-m", "client.node.superexec", *command[1:]], **options
    )


def _check(arguments: argparse.Namespace) -> None:
    """End with a clear word if the site or its way to the coordinator is not as it should be."""
    from flwr.common.config import parse_config_args

    given = [arguments.node_config] if arguments.node_config else None
    root = arguments.root_certificates
    try:
        check_site(parse_config_args(given))
        if arguments.insecure or root:
            check_coordinator(arguments.superlink, Path(root).expanduser() if root else None)
    except SyncytiumError as error:
        sys.exit(f"syncytium-supernode: {error}")


def main() -> None:
    """Flower's SuperNode with the command line's arguments."""
    import flwr

    if not flwr.__version__.startswith(FLOWER):
        print(
            f"flwr {flwr.__version__}: short waits are for {FLOWER}x; running flower-supernode",
            file=sys.stderr,
        )
        os.execvp("flower-supernode", ["flower-supernode", *sys.argv[1:]])
    from flwr.supernode import start_client_internal

    # By name: the package has a function called like the module.
    command = importlib.import_module("flwr.supernode.cli.flower_supernode")

    start_client_internal.time = _ShortWaits()
    start_client_internal.subprocess = SimpleNamespace(Popen=_start_superexec)
    ask_again_soon()
    _check(command._parse_args_run_supernode().parse_args())
    command.flower_supernode()


if __name__ == "__main__":
    main()
