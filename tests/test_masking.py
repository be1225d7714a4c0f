"""Keystreams, derived keys, boxes and shares."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import SecureSumError
from common.secure.keys import KeyPair, seal, unseal
from common.secure.masking import BLOCK_BYTES, add_masks, derive
from common.secure.shares import combine, split

KEYS = [bytes([i]) * 32 for i in range(4)]
LENGTHS = [0, 1, 7, BLOCK_BYTES // 8 - 1, BLOCK_BYTES // 8, BLOCK_BYTES // 8 + 1, 20_001]


def keystream(key, n):
    """AES-256-CTR in one go."""
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(stream.update(bytes(8 * n)), np.uint64)


@pytest.mark.parametrize("n", LENGTHS)
def test_masks_are_the_keystreams_of_aes(n):
    vector = np.random.default_rng(n).integers(2**64, size=n, dtype=np.uint64)
    masked = vector.copy()
    add_masks(masked, KEYS[:2], KEYS[2:])
    added = keystream(KEYS[0], n) + keystream(KEYS[1], n)
    np.testing.assert_array_equal(
        masked, vector + added - keystream(KEYS[2], n) - keystream(KEYS[3], n)
    )
    add_masks(masked, KEYS[2:], KEYS[:2])
    np.testing.assert_array_equal(masked, vector)


def test_keys_differ_by_purpose_and_binding():
    keys = {
        derive(secret, purpose, *binding)
        for secret in (bytes(32), bytes(31) + b"1")
        for purpose in ("a", "b")
        for binding in ((), (1,), ("1",), (1, 2), (12,))
    }
    assert len(keys) == 20
    assert all(len(key) == 32 for key in keys)


def test_both_sides_agree_and_a_third_does_not():
    a, b, c = KeyPair.fresh(), KeyPair.fresh(), KeyPair.fresh()
    assert a.agree(b.public) == b.agree(a.public) != c.agree(b.public)
    for wrong in (b"short", bytes(32)):
        with pytest.raises(SecureSumError, match="public key cannot be used"):
            a.agree(wrong)


def test_a_box_opens_for_its_receiver_and_binding_only():
    a, b, c = KeyPair.fresh(), KeyPair.fresh(), KeyPair.fresh()
    box = seal(b"share", a, b.public, "run", 1)
    assert unseal(box, b, a.public, "run", 1) == b"share"
    assert seal(b"share", a, b.public, "run", 1) != box
    for receiver, sender, number in ((c, a, 1), (b, c, 1), (b, a, 2)):
        with pytest.raises(SecureSumError, match="does not open"):
            unseal(box, receiver, sender.public, "run", number)


@settings(max_examples=20, deadline=None)
@given(secret=st.binary(min_size=32, max_size=32), data=st.data(), n=st.integers(1, 9))
def test_any_threshold_of_shares_gives_the_secret(secret, data, n):
    threshold = data.draw(st.integers(1, n))
    shares = dict(enumerate(split(secret, threshold, n), start=1))
    chosen = data.draw(st.permutations(sorted(shares)))[:threshold]
    assert combine({i: shares[i] for i in chosen}, threshold) == secret
    if threshold > 1:
        fewer = {i: shares[i] for i in chosen[1:]}
        with pytest.raises(SecureSumError, match=f"{threshold - 1} shares of a secret"):
            combine(fewer, threshold)
        # With a lower threshold claimed, they give something else.
        assert combine(fewer, threshold - 1) != secret


@pytest.mark.parametrize(("length", "threshold", "n"), [(31, 2, 3), (32, 0, 3), (32, 4, 3)])
def test_what_cannot_be_shared(length, threshold, n):
    with pytest.raises(ValueError, match="shares"):
        split(bytes(length), threshold, n)
