"""Key pairs, agreements between two sites, and boxes that only the receiver opens.

X25519 (RFC 7748) and ChaCha20-Poly1305 (RFC 8439) of the ``cryptography`` package; private halves
come from the operating system's generator.
"""

import os
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from common.errors import SecureSumError
from common.secure.masking import derive

NONCE_BYTES = 12


@dataclass(frozen=True, repr=False)
class KeyPair:
    """An X25519 key pair; the private half is never shown.

    Parameters
    ----------
    private
        32 bytes.
    """

    private: bytes

    @classmethod
    def fresh(cls) -> Self:
        """A new pair."""
        return cls(X25519PrivateKey.generate().private_bytes_raw())

    @property
    def public(self) -> bytes:
        """The half that others may see, 32 bytes."""
        return X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()

    def agree(self, other: bytes) -> bytes:
        """The secret that this pair and the pair of the public half ``other`` share, 32 bytes.

        Raises
        ------
        SecureSumError
            ``other`` is not a usable public key.
        """
        try:
            public = X25519PublicKey.from_public_bytes(other)
            return X25519PrivateKey.from_private_bytes(self.private).exchange(public)
        except ValueError as error:
            raise SecureSumError(f"a public key cannot be used: {error}") from None


def seal(content: bytes, own: KeyPair, receiver: bytes, *binding: object) -> bytes:
    """A box that opens for ``receiver`` with the same ``binding``."""
    key, nonce = derive(own.agree(receiver), "box", *binding), os.urandom(NONCE_BYTES)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, content, None)


def unseal(box: bytes, own: KeyPair, sender: bytes, *binding: object) -> bytes:
    """What is in a box.

    Raises
    ------
    SecureSumError
        It was made by another sender, for another receiver or binding, or was changed.
    """
    key = derive(own.agree(sender), "box", *binding)
    try:
        return ChaCha20Poly1305(key).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], None)
    except (InvalidTag, ValueError):
        raise SecureSumError(
            f"a box of key shares does not open {binding}: it was changed on its way"
        ) from None
