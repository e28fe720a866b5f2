"""A signature is one text: what only spells the same bytes is none."""

from __future__ import annotations

import base64

from voiceid.protection import Key, SigningKey, is_signed


def test_a_signature_has_one_spelling() -> None:
    key = SigningKey(Key(b"s" * 32))
    signature = key.sign(b"content")
    assert is_signed(b"content", signature, key.public)
    last = signature[-3]  # of its six bits four are left over
    alphabet = base64.b64encode(bytes(range(256))).decode()
    others = [f"{signature[:-3]}{one}==" for one in set(alphabet) - {last, "="}]
    same = [one for one in others if base64.b64decode(one) == base64.b64decode(signature)]
    assert len(same) == 15
    assert not any(is_signed(b"content", one, key.public) for one in same)
