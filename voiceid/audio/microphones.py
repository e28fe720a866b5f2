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
"""The name of a microphone that every machine has, and that hears nothing: to try things out."""
_RATE_HZ, _BUFFER_MS = 48_000, 50
_UNHEARD = ctypes.CFUNCTYPE(None)(lambda: None)
"""Takes the messages that ALSA would print, dozens for one device that is not there."""


def recorded(wanted: str, stall_timeout_s: float) -> Pieces:
    """Yield what a microphone hears; the default one for no name.

    Raises `AudioNotFound`: there is none of that name; `AudioUnreadable`: it gave nothing for so
    long; `ExtraMissing`: the extra is not installed.
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
            device_id=_microphone(miniaudio, wanted),
            backends=[miniaudio.Backend.NULL] if wanted == SILENT else None,
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


def _microphone(miniaudio: Any, wanted: str) -> Any:
    """Return the id of the microphone of that name; None: the default one, of no name."""
    if wanted == SILENT:
        return None
    devices = miniaudio.Devices()
    found = [] if devices.backend == "Null" else devices.get_captures()
    names = [device["name"] for device in found]
    if not found:
        raise AudioNotFound(
            "this machine has no microphone that can be opened",
            hint="Connect one, and check that this user may use the sound devices.",
        )
    if not wanted:
        return None
    exact = [device for device in found if device["name"] == wanted]
    alike = exact or [d for d in found if wanted.casefold() in d["name"].casefold()]
    if len(alike) != 1:
        which = "no microphone" if not alike else f"{len(alike)} microphones"
        raise AudioNotFound(
            f"{which} of the name {display_name(wanted)}",
            hint=f"There are: {'; '.join(map(display_name, names))}.",
        )
    return alike[0]["id"]
