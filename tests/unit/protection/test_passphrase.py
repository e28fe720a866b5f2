"""The first line of a sealed file asks for no more work than is done for one, and is no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voiceid.protection import passphrase

FACTS = {"n": 2, "r": 8, "p": 1, "salt": "AAAAAAAAAAAAAAAAAAAAAA=="}


def head(kind: str = "speakers", version: object = 1, **facts: object) -> bytes:
    document = {"format": kind, "version": version, "scrypt": {**FACTS, **facts}}
    return json.dumps(document).encode() + b"\n"


@pytest.mark.parametrize(
    "facts",
    [
        *({"n": n} for n in (1 << 19, 1 << 40, 3, 1, 0, -2, 2.0, True)),
        *({"p": p} for p in (5, 1 << 30, 0, "1")),
        *({"r": r} for r in (1, 1 << 20)),
        *({"salt": salt} for salt in ("", "AAAA", "not base64", None)),
        *({"kind": "backup"}, {"version": 2}, {"salt": "A" * 600}),
    ],
)
def test_a_first_line_that_no_voiceid_writes_is_refused_before_any_work(
    facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert passphrase.key_of("speakers", head(), "words")
    monkeypatch.setattr(passphrase, "Key", None)
    with pytest.raises(ValueError, match=r"first line|more work or memory|version"):
        passphrase.key_of("speakers", head(**facts), "words")


def test_a_passphrase_is_the_same_however_a_keyboard_composes_its_letters() -> None:
    spellings = ("\u00e9", "e\u0301")
    one, other = (passphrase.key_of("speakers", head(), said) for said in spellings)
    assert one.secret == other.secret
    assert passphrase.key_of("speakers", head(), "e").secret != one.secret
