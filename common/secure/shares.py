"""Shamir's secret sharing of 32-byte secrets: any ``threshold`` shares give the secret back.

References
----------
Shamir 1979, doi:10.1145/359168.359176; the field is GF(2^128), so a secret is shared in halves.
"""

from Crypto.Protocol.SecretSharing import Shamir

from common.errors import SecureSumError

HALF = 16


def split(secret: bytes, threshold: int, n: int) -> list[bytes]:
    """Shares of ``secret``, each 32 bytes, the i-th for position i + 1.

    Raises
    ------
    ValueError
        The secret has not 32 bytes, or the threshold is not in 1..n.
    """
    if len(secret) != 2 * HALF or not 1 <= threshold <= n:
        raise ValueError(f"a secret of {len(secret)} bytes, {threshold} of {n} shares")
    if threshold == 1:
        return [secret] * n
    halves = (Shamir.split(threshold, n, part) for part in (secret[:HALF], secret[HALF:]))
    return [low + high for (_, low), (_, high) in zip(*halves, strict=True)]


def combine(shares: dict[int, bytes], threshold: int) -> bytes:
    """The secret from shares by position, counted from 1.

    Raises
    ------
    SecureSumError
        There are fewer shares than ``threshold``.
    """
    if len(shares) < threshold:
        raise SecureSumError(f"{len(shares)} shares of a secret that {threshold} open")
    used = sorted(shares.items())[:threshold]
    if threshold == 1:
        return used[0][1]
    halves = ((0, HALF), (HALF, 2 * HALF))
    return b"".join(Shamir.combine([(i, s[a:b]) for i, s in used]) for a, b in halves)
