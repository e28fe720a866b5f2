"""An examination of the whole installation; it changes and fetches nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from voiceid.app.forgetting import audio_of_nobody
from voiceid.app.parts import VAD_MODEL, Parts
from voiceid.audio import codec_versions
from voiceid.decision.rule import DecisionRule, percent
from voiceid.domain import DatabaseUrl, Finding, Health
from voiceid.errors import StoreError, ThresholdUnavailable, VoiceIDError
from voiceid.models import runtime

_TIGHT_BYTES, _FULL_BYTES = 1 << 30, 100 << 20
"""Free space from which a box should be looked after, and under which writes may fail soon."""

_REMOVES = "`voiceid speakers purge --expired` removes them, and so does the next removal."

Check = Callable[[Parts], Iterator[Finding]]


def examine(parts: Parts) -> Iterator[Finding]:
    """Yield what is found, subject by subject; an error of one check stops no other."""
    checks: tuple[tuple[str, Check], ...] = (
        ("engine", _engine),
        ("models", _models),
        ("database", _database),
        ("codecs", _codecs),
        ("processors", _processors),
        ("disk", _disk),
        ("clock", _clock),
    )
    for subject, check in checks:
        try:
            yield from check(parts)
        except VoiceIDError as error:
            yield Finding(subject, Health.ERROR, error.message, error.hint)


def _engine(parts: Parts) -> Iterator[Finding]:
    runtime.require_providers(parts.config.runtime)
    used = ", ".join(parts.config.runtime.providers)
    yield Finding("engine", Health.OK, f"{runtime.engine_version()}; in use: {used}")


def _models(parts: Parts) -> Iterator[Finding]:
    named = parts.card.name
    parts = now_used(parts)
    if parts.card.name != named:
        message = f"the gallery was switched from {named} to {parts.card.name}, which is used"
        hint = f"Set `model: {parts.card.name}` in config.yaml, so that it says what is used."
        yield Finding("models", Health.WARNING, message, hint)
    for name in (parts.card.name, VAD_MODEL):
        if parts.models.is_installed(name):
            found = parts.models.verify(name)
            message = f"{name} is as installed and {found.distance:.1e} off its reference"
            yield Finding("models", Health.OK, message)
        else:
            health = Health.ERROR if parts.config.offline else Health.WARNING
            hint = f"Run `voiceid models pull {name}`; otherwise the first use fetches it."
            yield Finding("models", health, f"{name} is not installed", hint)


def _database(parts: Parts) -> Iterator[Finding]:
    from voiceid.store import maintenance, upgrade  # noqa: PLC0415 - the maintenance path only

    found = upgrade.status(parts.database)
    if found.state is upgrade.SchemaState.MISSING:
        message = f"there is no database {parts.database} yet"
        yield Finding("database", Health.WARNING, message, "The first enrolment makes it.")
        return
    if found.state is upgrade.SchemaState.NEWER:
        raise upgrade.too_new(parts.database, found)
    if found.state is upgrade.SchemaState.OUTDATED:
        message = f"schema {found.current}, and this voiceid writes {found.head}"
        kept = "" if isinstance(parts.database, DatabaseUrl) else "; a copy is kept"
        hint = f"The next command upgrades it{kept}."
        yield Finding("database", Health.WARNING, message, hint)
        return
    problems = maintenance.check(parts.store)
    hint = "Put back a backup: `voiceid db restore FILE`."
    for problem in problems:
        yield Finding("database", Health.ERROR, problem, hint)
    if not problems:
        with parts.store.read() as reader:
            n_speakers = reader.speakers.count()
        yield Finding("database", Health.OK, f"sound, {n_speakers} enrolled, schema {found.head}")
        if told := audio_problem(parts):
            yield Finding("database", Health.WARNING, told, _REMOVES)
        yield from _index(parts)
        yield from _thresholds(parts)


def audio_problem(parts: Parts) -> str:
    """Return what is wrong with the kept audio, in a sentence; empty for nothing."""
    gone = len(audio_of_nobody(parts.store, parts.kept_audio))
    return f"kept recordings of nobody who is enrolled: {gone}" if gone else ""


def _thresholds(parts: Parts) -> Iterator[Finding]:
    parts = parts.in_use
    back_end = parts.back_end(parts.verifying_rule())
    yield thresholds_of(back_end.rule, back_end.space.id)


def thresholds_of(rule: DecisionRule, space_id: str) -> Finding:
    """Return whether anybody can be accepted at all: what is in use may lack what it needs."""
    aim = f"FMR {percent(rule.aim.rate)}"
    if rule.calibration is not None:
        try:
            rule.calibration.calibration.llr_at(rule.aim.rate)
        except ThresholdUnavailable as error:
            return Finding("thresholds", Health.ERROR, error.message, error.hint)
        message = f"calibration {rule.calibration.id} of {space_id}, {aim}"
        return Finding("thresholds", Health.OK, message)
    if any(point.target_fmr <= rule.aim.rate for point in rule.points):
        return Finding("thresholds", Health.OK, f"card {rule.model}, {aim}")
    message = f"nothing was measured in {space_id} for {aim}: nobody is accepted"
    hint = "Run `voiceid calibrate`, or leave the adaptation: `voiceid adaptations use none`."
    return Finding("thresholds", Health.ERROR, message, hint)


def _index(parts: Parts) -> Iterator[Finding]:
    with parts.store.read() as reader:
        for space_id, dim in reader.spaces.dims().items():
            status = parts.gallery(space_id, dim).status(reader)
            message = f"{space_id}: {status.state}, {status.vectors or 0} of {status.enrolled}"
            if status.state == "damaged":
                hint = "The next search makes it anew; if this comes again, look at the disk."
                yield Finding("index", Health.WARNING, message, hint)
            else:
                yield Finding("index", Health.OK, message)


def _codecs(parts: Parts) -> Iterator[Finding]:
    del parts
    yield Finding("codecs", Health.OK, codec_versions())


def _processors(parts: Parts) -> Iterator[Finding]:
    granted, threads = runtime.cpu_limit(), parts.config.runtime.threads
    busy = parts.workers * threads
    message = f"{granted} granted, {busy} in use at most (workers times threads)"
    if busy > granted:
        hint = "Lower runtime.workers or runtime.threads: they only get in each other's way."
        yield Finding("processors", Health.WARNING, message, hint)
    else:
        yield Finding("processors", Health.OK, message)


def _disk(parts: Parts) -> Iterator[Finding]:
    folder = next(p for p in (parts.config.data, *parts.config.data.parents) if p.is_dir())
    free = shutil.disk_usage(folder).free
    message = f"{free / 1e9:.1f} GB free in {folder}"
    if free >= _TIGHT_BYTES:
        yield Finding("disk", Health.OK, message)
    else:
        health = Health.ERROR if free < _FULL_BYTES else Health.WARNING
        yield Finding("disk", health, message, "Make room: an enrolment needs to be written.")


def _clock(parts: Parts) -> Iterator[Finding]:
    now = datetime.now(UTC)
    message = f"{now:%Y-%m-%d %H:%M} UTC"
    newest = _newest(parts)
    if newest is not None and newest > now:
        hint = "Set the clock: times of enrolments cannot be trusted."
        message += f", but somebody was enrolled at {newest:%Y-%m-%d %H:%M}"
        yield Finding("clock", Health.WARNING, message, hint)
    else:
        yield Finding("clock", Health.OK, message)


def now_used(parts: Parts) -> Parts:
    """Return the parts in use, if there is a database that says so without being upgraded."""
    return parts.in_use if _is_current(parts) else parts


def _is_current(parts: Parts) -> bool:
    """Whether there is a database that can be read without an upgrade."""
    from voiceid.store import upgrade  # noqa: PLC0415 - the maintenance path only

    try:
        return upgrade.status(parts.database).state is upgrade.SchemaState.CURRENT
    except StoreError:  # told where the database is looked at
        return False


def _newest(parts: Parts) -> datetime | None:
    if not _is_current(parts):
        return None
    with parts.store.read() as reader:
        return reader.speakers.newest_change()
