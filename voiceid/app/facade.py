"""`VoiceID`: the facade over everything.

    with VoiceID.open("data") as vid:
        vid.enroll("alice", ["a1.wav", "a2.wav", "a3.wav"])
        decision = vid.identify("door.mp3")
        if decision.accepted and decision.speaker.name == "alice":
            ...

Its methods stand in rooms: `questions`, `people`, `care`, `evaluating`, `calibrating`,
`adapting`, `migrating`, `upkeep` and `monitoring`.  Objects are built in `parts`, and nowhere
else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from voiceid.app.adapting import Adapting
from voiceid.app.calibrating import Calibrating
from voiceid.app.care import Care
from voiceid.app.evaluating import Evaluating
from voiceid.app.migrating import Migrating
from voiceid.app.monitoring import Monitoring
from voiceid.app.parts import Parts
from voiceid.app.people import People
from voiceid.app.questions import Questions
from voiceid.app.upkeep import Upkeep
from voiceid.config import Config, load_config
from voiceid.models.fetch import Progress


class VoiceID(
    Questions, People, Care, Evaluating, Calibrating, Adapting, Migrating, Upkeep, Monitoring
):
    """Enrolled voices, and the questions that can be asked of them.

    One object serves a whole process; its methods may be called from any number of threads
    at once.  Build it with :meth:`open`, after the process has forked; docs/server.md is
    about servers.
    """

    def __init__(
        self,
        config: Config,
        *,
        notify: Callable[[str], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.config = config
        """Every setting, checked: a :class:`Config`."""
        self._parts = Parts(config, notify or (lambda _: None), progress)

    @classmethod
    def open(
        cls,
        data: str | os.PathLike[str] | None = None,
        *,
        home: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, object] | None = None,
        notify: Callable[[str], None] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Open the gallery in a data folder; it is made when something is first written.

        Parameters
        ----------
        data : path, optional
            Folder of the database and the index; from the configuration when omitted.
        home : path, optional
            The folder of ``config.yaml``, from which relative paths start; when omitted
            ``$VOICEID_HOME``, else the current folder if it holds a ``config.yaml``, else the
            user's data folder.
        overrides : mapping, optional
            Settings by dotted key, e.g. ``{"model": "ge2e", "decision.target_fmr": 0.01}``.
        notify : callable, optional
            Is told, in a sentence, of what takes long (a model that is fetched) or was left out.
        progress : callable, optional
            Is told how far a download is: ``progress(stage, done_bytes, total_bytes)``.

        Raises
        ------
        ConfigError
            A setting is unknown or out of range; all that are wrong are named.
        """
        config = load_config(home, {**(overrides or {}), **({"data": data} if data else {})})
        return cls(config, notify=notify, progress=progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database.  The object must not be used afterwards."""
        self._parts.close()
