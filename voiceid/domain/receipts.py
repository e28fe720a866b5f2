"""The signed receipt of an erasure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from voiceid.domain.values import Value

RECEIPT_FORMAT, RECEIPT_VERSION = "voiceid erasure receipt", 1
ALGORITHM = "Ed25519"


@dataclass(frozen=True, slots=True)
class Backup(Value):
    """A backup that was made of the database.

    Parameters
    ----------
    path : str
        Where it was written.
    made_at : datetime
        UTC.
    sha256 : str
        Of the file as it was written.
    """

    path: str
    made_at: datetime
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased, where remains were searched, and which remains are known.

    Parameters
    ----------
    facts : mapping
        As JSON has them; docs/consent.md says what each is.
    public_key, signature : str
        Of Ed25519, in base64: of `signed_bytes`.
    """

    facts: Mapping[str, Any]
    public_key: str
    signature: str

    @staticmethod
    def signed_bytes(facts: Mapping[str, Any]) -> bytes:
        """Return the signed bytes: the facts as JSON, keys sorted, without spaces, in UTF-8."""
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8", "surrogatepass")

    @classmethod
    def of_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the receipt of `to_dict`; raises ValueError for other values."""
        if not isinstance(document, Mapping) or document.keys() != {"receipt", "signed"}:
            raise ValueError("it is not a receipt")
        facts, signed = document["receipt"], document["signed"]
        if not isinstance(facts, dict) or facts.get("format") != RECEIPT_FORMAT:
            raise ValueError("it is not a receipt of an erasure")
        if facts.get("version") != RECEIPT_VERSION:
            raise ValueError(f"it is of version {facts.get('version')!r:.20}")
        expected = {"algorithm", "public_key", "signature"}
        if not isinstance(signed, dict) or signed.keys() != expected:
            raise ValueError("its signature is malformed")
        if signed["algorithm"] != ALGORITHM:
            raise ValueError(f"it is not signed with {ALGORITHM}")
        return cls(facts, str(signed["public_key"]), str(signed["signature"]))

    def to_dict(self) -> dict[str, Any]:
        """Return the receipt in the form of its file."""
        signed = {
            "algorithm": ALGORITHM,
            "public_key": self.public_key,
            "signature": self.signature,
        }
        return {"receipt": dict(self.facts), "signed": signed}
