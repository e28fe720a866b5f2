"""The door to microphones, through miniaudio: an extra."""

from __future__ import annotations

import contextlib
import ctypes
import queue
from collections.abc import Generator
from typing import Any

import numpy as np

from voiceid.audio.decoder import Pieces
from voiceid.audio.media import display_name
from voiceid.errors import AudioNotFound, AudioUnreadable, ExtraMissing

SILENT = "silent"
"""The name of a silent microphone that every machine has: for tests."""
_RATE_HZ, _BUFFER_MS = 48_000, 50
_UNHEARD = ctypes.CFUNCTYPE(None)(lambda: None)
"""Takes the messages that ALSA would print: dozens for one missing device."""


def recorded(name: str, stall_timeout_s: float) -> Pieces:
    """Yield the sound of a microphone; of the default one if the name is empty.

    Raises `AudioNotFound`: no microphone has that name; `AudioUnreadable`: it gave no sound for
    ``stall_timeout_s``; `ExtraMissing`: the extra is not installed.
    """
    try:
        import miniaudio  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ExtraMissing(
            "a microphone needs the package miniaudio, which is not installed",
            hint='Install the extra: pip install "voiceid[mic]".',
        ) from error
    arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def receive() -> Generator[None, bytes, None]:
        while True:
            arrived.put((yield))

    receiver = receive()
    next(receiver)
    with contextlib.suppress(OSError, AttributeError):  # no ALSA here
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_UNHEARD)
    try:
        device = miniaudio.CaptureDevice(
            nchannels=1,
            sample_rate=_RATE_HZ,
            buffersize_msec=_BUFFER_MS,
            device_id=_microphone(miniaudio, name),
            backends=[miniaudio.Backend.NULL] if name == SILENT else None,
            app_name="voiceid",
        )
        device.start(receiver)
    except miniaudio.MiniaudioError as error:
        raise AudioNotFound(
            f"the microphone cannot be opened: {error.args[0]}", hint="Check that it is connected."
        ) from error
    try:
        while True:
            try:
                data = arrived.get(timeout=stall_timeout_s)
            except queue.Empty:
                raise AudioUnreadable(
                    f"the microphone gave no sound for {stall_timeout_s:g} s",
                    hint="Check that it is connected.",
                ) from None
            yield np.frombuffer(data, "<i2"), _RATE_HZ
    finally:
        device.close()


def _microphone(miniaudio: Any, name: str) -> Any:
    """Return the id of the microphone of a name; None for an empty name: the default one."""
    if name == SILENT:
        return None
    devices = miniaudio.Devices()
    captures = [] if devices.backend == "Null" else devices.get_captures()
    names = [device["name"] for device in captures]
    if not captures:
        raise AudioNotFound(
            "this machine has no microphone that can be opened",
            hint="Connect a microphone, and check that this user may use the sound devices.",
        )
    if not name:
        return None
    exact = [device for device in captures if device["name"] == name]
    alike = exact or [d for d in captures if name.casefold() in d["name"].casefold()]
    if len(alike) != 1:
        which = "no microphone" if not alike else f"{len(alike)} microphones"
        raise AudioNotFound(
            f"{which} with the name {display_name(name)}",
            hint=f"Use one of: {'; '.join(map(display_name, names))}.",
        )
    return alike[0]["id"]
