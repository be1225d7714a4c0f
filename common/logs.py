"""Structured logs: a JSON object a line, for whoever collects them. They tell no value of the data.

``outbox.jsonl`` and ``ledger.jsonl`` say what left; a ``log.jsonl`` says what was done, how long it
took and how it ended.
"""

import contextlib
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOG = "log.jsonl"


class JsonLines(logging.Handler):
    """Appends records to a file; a log that cannot be written stops nothing.

    Parameters
    ----------
    path
        Of the file.
    texts
        Also records without ``facts``, by their text. Not at a site, where a text may hold values
        of the data: there an entry is what its author gave as such.
    **always
        Entered into every line.
    """

    def __init__(self, path: Path, texts: bool = False, **always: Any):
        super().__init__(logging.DEBUG)
        self.path = path
        self.texts = texts
        self.always = always

    def emit(self, record: logging.LogRecord) -> None:
        """One line. A record's ``facts`` are entries of their own."""
        facts = getattr(record, "facts", {})
        if not (facts or self.texts):
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            # A text that is for the site's own eyes is replaced by its public form.
            "event": facts.get("event", record.getMessage()),
            **self.always,
            **facts,
        }
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")


@contextlib.contextmanager
def logged_to(
    logger: logging.Logger, path: Path, texts: bool = False, **always: Any
) -> Iterator[None]:
    """Append what a logger says meanwhile to a file; see :class:`JsonLines`."""
    handler, level = JsonLines(path, texts, **always), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def facts(**entries: Any) -> dict[str, Any]:
    """Entries of a line, as a logger's ``extra``."""
    return {"facts": entries}
