"""`syncytium-supernode`: Flower's own SuperNode, with its arguments, without its waits.

Flower's SuperNode asks for messages every 3 s and starts a process for each, which loads Flower and
torch anew: some 6 s a message whatever the work. Here it asks several times a second, and a
message's process is forked from one that has loaded them. What it runs is Flower's code, and
`flower-supernode` does the same, slower.
"""

import os
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

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
    from flwr.supernode.cli.flower_supernode import flower_supernode

    start_client_internal.time = _ShortWaits()
    start_client_internal.subprocess = SimpleNamespace(Popen=_start_superexec)
    ask_again_soon()
    flower_supernode()


if __name__ == "__main__":
    main()
