"""What a process of `voiceid.limited_process` does, in a fork that has its libraries loaded."""

from __future__ import annotations

import os

import onnx  # noqa: F401 - and the others too: all that such a process may need
import pyarrow.parquet  # noqa: F401

import voiceid.exchange.parquet_file
import voiceid.models.add  # noqa: F401
from voiceid.limited_process import serve


def main() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    serve()
