"""Recordings with very many texts in their metadata, each of a name of its own."""

from __future__ import annotations


def names(n: int) -> list[bytes]:
    """Return so many names of six characters."""
    return [b"%06x" % i for i in range(n)]


def flac_with(n: int, flac: bytes) -> bytes:
    """Return a FLAC file with so many comments, whose count libsndfile refuses as absurd."""
    texts = b"".join(b"\x08\0\0\0" + name + b"=b" for name in names(n))
    block = bytes(4) + b"\xff" * 4 + texts
    return flac[:42] + b"\4" + len(block).to_bytes(3, "big") + block + flac[42:]


def flv_with(n: int, flv: bytes = b"FLV\x01\x04\0\0\0\x09" + bytes(4)) -> bytes:
    """Return a Flash video with so many values; if none is given, with nothing else."""
    texts = b"".join(b"\0\x06" + name + b"\2\0\1b" for name in names(n))
    body = b"\2\0\x0aonMetaData\x08" + n.to_bytes(4, "big") + texts + b"\0\0\x09"
    tag = b"\x12" + len(body).to_bytes(3, "big") + bytes(7) + body
    return flv[:13] + tag + len(tag).to_bytes(4, "big") + flv[13:]
