"""Signatures of sites: Ed25519 (RFC 8032) of the ``cryptography`` package."""

from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common.secure.statement import statement


@dataclass(frozen=True, repr=False)
class SigningKey:
    """An Ed25519 key pair; the private half is never shown.

    Parameters
    ----------
    private
        32 bytes.
    """

    private: bytes

    @classmethod
    def fresh(cls) -> Self:
        """A new pair, from the operating system's generator."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def public(self) -> bytes:
        """The half that others may see, 32 bytes."""
        return Ed25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()

    def sign(self, purpose: str, *content: object) -> bytes:
        """A signature of ``content`` for one purpose, 64 bytes."""
        key = Ed25519PrivateKey.from_private_bytes(self.private)
        return key.sign(statement(purpose, *content))


def is_signed(public: bytes, signature: bytes, purpose: str, *content: object) -> bool:
    """Whether the owner of ``public`` signed ``content`` for this purpose."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(signature, statement(purpose, *content))
    except (InvalidSignature, ValueError):
        return False
    return True
