"""From the options to an open `VoiceID`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceid.cli.console import Console

if TYPE_CHECKING:
    from voiceid.client import VoiceID


def open_voiceid(console: Console, **settings: object) -> VoiceID:
    """Return the gallery, set up as the options say; in ``settings``, ``__`` is the dot."""
    console.require_stdout()
    # Imported here: the engines take longer to load than a help text takes to read.
    from voiceid.cli.logs import log_to  # noqa: PLC0415
    from voiceid.client import VoiceID  # noqa: PLC0415
    from voiceid.config import load_config  # noqa: PLC0415

    given = console.settings
    overrides: dict[str, object] = {
        "model": given.model,
        "offline": True if given.offline else None,
        "audio.channel": given.channel,
        "audio.track": given.track,
        "audio.format": given.audio_format,
        "log.format": given.log,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    given_overrides = {key: value for key, value in overrides.items() if value is not None}
    config = load_config(given.home, {**given_overrides, "data": given.data})
    console.config = config
    if given.verbose:
        console.complain(f"config.yaml: {config.file_text}")
    if not config.home.exists():
        console.note(f"there is no home {config.home} yet; a new one begins there")
    log_to(console, config)
    return VoiceID(config, notify=console.note, progress=console.progress)
