"""From the options to an open `VoiceID`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceid.cli.console import Console

if TYPE_CHECKING:
    from voiceid.client import VoiceID


def open_voiceid(console: Console, **settings: object) -> VoiceID:
    """Open the gallery with the options; in ``settings``, ``__`` stands for the dot."""
    console.require_stdout()
    # Imported here: the engines load slowly, and the help does not need them.
    from voiceid.cli.logs import log_to  # noqa: PLC0415
    from voiceid.client import VoiceID  # noqa: PLC0415
    from voiceid.config import load_config  # noqa: PLC0415

    options = console.settings
    overrides: dict[str, object] = {
        "model": options.model,
        "offline": True if options.offline else None,
        "audio.channel": options.channel,
        "audio.track": options.track,
        "audio.format": options.audio_format,
        "log.format": options.log,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    given_overrides = {key: value for key, value in overrides.items() if value is not None}
    config = load_config(options.home, {**given_overrides, "data": options.data})
    console.config = config
    if options.verbose:
        console.complain(f"config.yaml: {config.file_text}")
    if not config.home.exists():
        console.note(f"the home {config.home} does not exist yet; it will be created")
    log_to(console, config)
    return VoiceID(config, notify=console.note, progress=console.progress)
