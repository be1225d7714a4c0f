"""What the coordinator says while it runs; `flwr run --stream` shows it."""

import logging


class _Print(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


def speak() -> None:
    """Show Syncytium's own messages, and not those of Flower that mislead here.

    Flower's strategies are fed one summed reply and would report "1 results" for any number of
    sites, sampled from two.
    """
    logger = logging.getLogger("syncytium")
    if not logger.handlers:
        handler = _Print()
        handler.setFormatter(logging.Formatter("syncytium: %(message)s"))
        logger.addHandler(handler)
        handler.setLevel(logging.INFO)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    flower = logging.getLogger("flwr")
    if _misleads not in flower.filters:
        flower.addFilter(_misleads)


_MISLEADING = ("%s: Received %s results", "configure_train: Sampled %s nodes")


def _misleads(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_MISLEADING)
