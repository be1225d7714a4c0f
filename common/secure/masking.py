"""Masks: keystreams added to ring vectors, and the keys they come from.

A mask is the AES-256-CTR keystream of a key that is used for one sum only, read as uint64. Two
sites derive one key from their round keys' agreement; one adds the stream, the other subtracts it.
A site's self mask comes from a seed of its own.

References
----------
Bonawitz et al. 2017, doi:10.1145/3133956.3133982; RFC 5869 (HKDF).
"""

from collections.abc import Iterable

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.secure.backend import SumContext
from common.secure.statement import statement

BLOCK_BYTES = 2**16
KEY_BYTES = 32


def derive(secret: bytes, purpose: str, *binding: object) -> bytes:
    """A 32-byte key from ``secret`` for one purpose, bound to what ``binding`` names.

    Parameters
    ----------
    secret
        Key material of full entropy: an agreement's result, or a random seed.
    purpose
        What the key is for; another purpose gives an unrelated key.
    binding
        JSON-serialisable values that both ends know.
    """
    return HKDF(SHA256(), KEY_BYTES, None, statement(purpose, *binding)).derive(secret)


def sum_binding(context: SumContext, n_words: int) -> list[object]:
    """What the masks of a sum are bound to: its identity and content, its format and length."""
    parts = (context.run, context.phase, context.round, context.attempt, context.n_sites)
    return [*parts, context.ring_bits, context.content, n_words]


def add_masks(vector: np.ndarray, added: Iterable[bytes], subtracted: Iterable[bytes] = ()) -> None:
    """Add and subtract keystreams modulo 2^64, in place.

    Parameters
    ----------
    vector
        uint64, (n,).
    added, subtracted
        Keys of 32 bytes, none used for another vector.
    """
    streams = [(_stream(key), np.add) for key in added]
    streams += [(_stream(key), np.subtract) for key in subtracted]
    zeros, buffer = bytes(BLOCK_BYTES), bytearray(BLOCK_BYTES + AES.block_size // 8)
    size = BLOCK_BYTES // vector.itemsize
    # Block by block over all streams: block and buffer stay in the processor's cache.
    for start in range(0, len(vector), size):
        block = vector[start : start + size]
        for stream, combine in streams:
            stream.update_into(memoryview(zeros)[: block.nbytes], buffer)
            combine(block, np.frombuffer(buffer, vector.dtype, len(block)), out=block)


def _stream(key: bytes):
    return Cipher(AES(key), CTR(bytes(16))).encryptor()
