"""What a key or a signature is bound to, as bytes that no other purpose or values give."""

import json


def statement(purpose: str, *content: object) -> bytes:
    """A unique encoding of JSON-serialisable ``content`` under ``purpose``."""
    return json.dumps(["syncytium 1", purpose, *content]).encode()
