"""Who a site is in a run: its keys for the run, signed by its long-term key where it has one."""

import hashlib
from dataclasses import dataclass
from typing import Self

from common.errors import SecureSumError
from common.secure.backend import Values
from common.secure.signing import SigningKey, is_signed

PURPOSE = "identity"


@dataclass(frozen=True)
class Identity:
    """The public halves of a site's keys for one run.

    Parameters
    ----------
    site
        The site's own name.
    agreement_key
        X25519: what other sites seal boxes for it with.
    run_key
        Ed25519: signs its round keys and its lists of survivors.
    site_key, signature
        Its long-term Ed25519 key and that key's signature of the above; empty without one.
    """

    site: str
    agreement_key: bytes
    run_key: bytes
    site_key: bytes = b""
    signature: bytes = b""

    @classmethod
    def signed_by(
        cls, site_key: SigningKey, site: str, agreement_key: bytes, run_key: bytes, *sum_name: str
    ) -> Self:
        """An identity with its signature for the run and the name in ``sum_name``."""
        unsigned = cls(site, agreement_key, run_key, site_key.public)
        signature = site_key.sign(PURPOSE, *sum_name, *unsigned.signed_content())
        return cls(site, agreement_key, run_key, site_key.public, signature)

    def signed_content(self) -> list[str]:
        """What the signature is of, besides the run and the site's name in its sums."""
        return [self.site, self.agreement_key.hex(), self.run_key.hex()]

    def is_signed_for(self, *sum_name: str) -> bool:
        """Whether its long-term key signed it for this run and name."""
        content = (PURPOSE, *sum_name, *self.signed_content())
        return is_signed(self.site_key, self.signature, *content)

    @property
    def fingerprint(self) -> str:
        """What people compare by telephone: of the long-term key, else of the run's keys."""
        shown = self.site_key or self.agreement_key + self.run_key
        return hashlib.sha256(shown).hexdigest()[:32]

    def fields(self) -> Values:
        """It as public fields."""
        keys = ("agreement_key", "run_key", "site_key", "signature")
        return {"site": self.site, **{key: getattr(self, key).hex() for key in keys}}

    @classmethod
    def of(cls, fields: Values) -> Self:
        """The identity in public fields.

        Raises
        ------
        SecureSumError
            One is missing or not hexadecimal.
        """
        try:
            keys = {name: bytes.fromhex(value) for name, value in fields.items() if name != "site"}
            return cls(str(fields["site"]), **keys)
        except (KeyError, TypeError, ValueError) as error:
            raise SecureSumError(f"an identity cannot be read: {error}") from None
