"""The work of each kind of job, on the recordings and the options of its request."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from voiceid.client import VoiceID
from voiceid.domain import Consent, Job, JobKind, JobPicture, SpeakerDetails, speaker_key
from voiceid.enrollment import Person, read_manifest
from voiceid.errors import ExtraMissing, ManifestInvalid
from voiceid.protection import Key
from voiceid.server.reach import joined_groups, require_reached
from voiceid.server.uploads import upload

Tell: TypeAlias = Callable[[float, float | None], None]
"""Receives a job's progress and total; raises an exception when the job must end."""
_NAMED = "Name each recording SPEAKER/CLIP, e.g. alice/1.wav, or send a manifest."


class Answer(NamedTuple):
    """The result of a job, ready for JSON, and its pictures, by name."""

    result: Any
    pictures: Mapping[str, JobPicture] = {}


class JobInputs:
    """The recordings of a job, and their description in its request.

    - `request`: ``clips``: the file and the caller's name of each; ``key``: the key that seals
      them, if any; ``manifest``: a list as text.
    """

    def __init__(self, folder: Path, request: Mapping[str, Any]) -> None:
        self.folder, self.request = folder, request
        secret = request.get("key")
        self.key = None if secret is None else Key(base64.b64decode(secret))
        self._file_of: dict[str, str] = {
            name.replace("\\", "/"): file for file, name in request["clips"]
        }

    @property
    def cache(self) -> Path | None:
        """The folder of cached embeddings: a restarted job continues from there.

        None: no vectors are written beside a sealed gallery.
        """
        return self.folder / "embeddings" if self.key is None else None

    @property
    def first(self) -> BinaryIO:
        """The only recording."""
        [[file, name], *_] = self.request["clips"]
        return upload(self.folder / file, name, self.key)

    def people(self) -> list[Person]:
        """Return the people to enrol; raises ManifestInvalid, SpeakerNameInvalid, Problem."""
        groups = tuple(self.request["groups"])
        consents = tuple(map(Consent.of_dict, self.request.get("consents", ())))
        by, reached = self.request.get("recorded_by", ""), self.request["reached"]
        if listing := self._manifest:
            listed = read_manifest(listing[0], content=listing[1])
            return [
                replace(
                    person,
                    sources=tuple(self._upload(str(source)) for source in person.sources),
                    details=replace(
                        person.details,
                        groups=(*joined_groups(person.details.groups, reached), *groups),
                        # The caller recorded them, even if the manifest has another name.
                        consents=(
                            *(replace(c, recorded_by=by) for c in person.details.consents),
                            *consents,
                        ),
                    ),
                )
                for person in listed
            ]
        label, details = self.request["label"], SpeakerDetails(groups=groups, consents=consents)
        by_key: dict[str, tuple[str, list[Any]]] = {}
        for name, file in self._file_of.items():
            speaker = _parts(name)[0]
            clip = upload(self.folder / file, name, self.key)
            by_key.setdefault(speaker_key(speaker), (speaker, []))[1].append(clip)
        return [
            Person(speaker, tuple(clips), (label,) * len(clips) if label else (), details)
            for speaker, clips in by_key.values()
        ]

    def protocol(self, *, in_turn: bool = False) -> Any:
        """Return the pairs to compare; raises TrialsInvalid, ManifestInvalid.

        By default each recording with each other, or (``in_turn``) some of each speaker with all
        others, as a calibration needs it.
        """
        from voiceid import evaluation  # noqa: PLC0415 - loads the engines

        if listing := self._manifest:
            listed = evaluation.read_manifest(*listing)
            recordings = [replace(line, path=self._upload(str(line.path))) for line in listed]
        else:
            recordings = []
            for name, file in self._file_of.items():
                speaker, *sessions, _ = _parts(name)
                recordings.append(
                    evaluation.Recording(
                        upload(self.folder / file, name, self.key),
                        name,
                        speaker,
                        "/".join(sessions[:1]),
                    )
                )
        first = self.request["enroll_first"]
        if first is not None:
            protocol = evaluation.enroll_first(recordings, first)
        else:
            protocol = (evaluation.enroll_in_turn if in_turn else evaluation.all_pairs)(recordings)
        return replace(protocol, source=self.request["source"])

    @property
    def _manifest(self) -> tuple[Path, str] | None:
        """The list's name and its text; it is not stored in a file, since it names people."""
        text = self.request["manifest"]
        if not text:
            return None
        return self.folder / ("list.jsonl" if text.lstrip().startswith("{") else "list.csv"), text

    def _upload(self, source: str) -> BinaryIO:
        return upload(self._path(source), source.removeprefix(f"{self.folder}/"), self.key)

    def _path(self, source: str) -> Path:
        """Return the recording that a line of the manifest names; it must be in the request."""
        name = Path(source).as_posix().removeprefix(f"{self.folder.as_posix()}/")
        if name not in self._file_of:
            raise ManifestInvalid(
                f"the manifest names {name!r}, but the request has no recording of that name",
                hint="Send each recording under its name in the manifest.",
            )
        return self.folder / self._file_of[name]


def _parts(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or parts[0] in {"/", "..", "."}:  # noqa: PLR2004 - a speaker and a clip
        raise ManifestInvalid(
            f"the recording {name!r} is not in the folder of a speaker", hint=_NAMED
        )
    return parts


def require_sound(kind: JobKind, inputs: JobInputs) -> None:
    """Raise the error of an invalid request before the job waits."""
    if kind is JobKind.ENROLL:
        inputs.people()
    elif kind in {JobKind.EVALUATE, JobKind.CALIBRATE}:
        inputs.protocol(in_turn=kind is JobKind.CALIBRATE)


def work(vid: VoiceID, job: Job, folder: Path, tell: Tell, partly: Callable[[Any], None]) -> Answer:
    """Do a job; ``partly`` receives the parts of its result."""
    return _KINDS[job.kind](vid, JobInputs(folder, job.request), tell, partly)


def _diarize(vid: VoiceID, inputs: JobInputs, tell: Tell, _: object) -> Answer:
    request, speakers = inputs.request, inputs.request["speakers"]
    diarization = vid.diarize(
        inputs.first,
        speakers=None if speakers is None else tuple(speakers),
        names=request["names"],
        group=request["group"],
        purpose=request.get("purpose"),
        progress=lambda _, done_s, total_s: tell(done_s, total_s),
    )
    return Answer(diarization.to_dict())


def _evaluate(vid: VoiceID, inputs: JobInputs, tell: Tell, _: object) -> Answer:
    report = vid.calibrations.evaluate(inputs.protocol(), cache=inputs.cache, tell=tell)
    drawn: dict[str, JobPicture] = {}
    with suppress(ExtraMissing):
        from voiceid.evaluation.charts import charts  # noqa: PLC0415 - matplotlib, an extra

        pictures = charts(report).items()
        drawn = {name: JobPicture(*chart) for name, chart in pictures if name.endswith(".png")}
    return Answer(report.to_dict(), drawn)


def _calibrate(vid: VoiceID, inputs: JobInputs, tell: Tell, _: object) -> Answer:
    fit = vid.calibrations.fit(
        inputs.protocol(in_turn=True),
        cache=inputs.cache,
        source=inputs.request["source"],
        target_fmr=inputs.request["target_fmr"],
        tell=tell,
    )
    drawn: dict[str, JobPicture] = {}
    with suppress(ExtraMissing):
        from voiceid.evaluation.charts import charts_of_llrs  # noqa: PLC0415

        pictures = charts_of_llrs(*fit.held_out_llrs).items()
        drawn = {name: JobPicture(*chart) for name, chart in pictures}
    return Answer(fit.to_dict(), drawn)


def _enroll(vid: VoiceID, inputs: JobInputs, tell: Tell, partly: Callable[[Any], None]) -> Answer:
    people, request = inputs.people(), inputs.request
    for person in people:
        require_reached(vid, person.name, request["reached"])
    reports: list[dict[str, Any]] = []
    tell(0, len(people))
    force, dry_run = request["force"], request["dry_run"]
    for report in vid.enroll_all(people, force=force, dry_run=dry_run):
        reports.append(report.to_dict())
        partly(reports)
        tell(len(reports), len(people))
    return Answer(reports)


_KINDS: Mapping[JobKind, Callable[..., Answer]] = {
    JobKind.DIARIZE: _diarize,
    JobKind.EVALUATE: _evaluate,
    JobKind.CALIBRATE: _calibrate,
    JobKind.ENROLL: _enroll,
}
