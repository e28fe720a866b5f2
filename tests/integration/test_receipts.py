"""Erasing with a receipt, the report of a person, and the rules of retention."""

from __future__ import annotations

import copy
import gc
import json
import logging
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from postgres_server import Databases
from private_galleries import OpenGallery, heard, opened
from random_voices import files_holding
from sqlalchemy import select, update
from torture.voices import new_clips, utterance

from voiceid import Consent, Reason, SpeakerDetails, VoiceID
from voiceid.domain import JobKind, Sample, system_user
from voiceid.domain.code_words import Challenge
from voiceid.errors import ReceiptInvalid, StoreError
from voiceid.observability.event_log import LOG, EventFormatter
from voiceid.protection import Key
from voiceid.store.tables import challenges, jobs, speaker_keys, speakers

CLIPS = new_clips(np.random.default_rng(21), 8, 7)
OTHERS = new_clips(np.random.default_rng(22), 8, 8)
NAME = "Alice <Ünlisted>"


def enrolled(vid: VoiceID) -> list[Sample]:
    consent = Consent("2026-03", ("door",), recorded_by="the desk")
    vid.enroll(
        NAME,
        heard(vid, CLIPS[:3]),
        label="phone",
        details=SpeakerDetails(groups=("staff",), metadata={"badge": "4711 & more"}),
        consent=consent,
    )
    vid.enroll("bob", heard(vid, OTHERS[:3]))
    vid.index.rebuild()
    return list(vid.samples.list(NAME))


def change(vid: VoiceID, name: str | None, **columns: str) -> None:
    """Let a speaker, or all, have other times."""
    with vid._session.store.write() as writer:
        query = update(speakers).values(**columns)
        if name is not None:
            query = query.where(speakers.c.id == writer.speakers.get(name).id)
        writer.connection.execute(query)


def test_a_receipt_says_what_was_erased_and_what_still_holds_it(
    gallery: OpenGallery, kind: str, tmp_path: Path
) -> None:
    vid = gallery()
    vid.database.backup(tmp_path / "before.sqlite3")
    samples = enrolled(vid)
    vid.database.backup(tmp_path / "after.sqlite3")
    receipt = vid.privacy.erase(NAME, erased_by="the desk")
    assert [s.name for s in vid.speakers.list()] == ["bob"]
    facts = receipt.facts
    assert facts["speaker"]["name"] == NAME
    assert facts["erased_by"] == "the desk"
    assert [one["recording_sha256"] for one in facts["erased"]["samples"]] == [
        sample.pcm_sha256 for sample in samples
    ]
    assert facts["erased"]["consents"] == 1
    assert facts["erased"]["key"].startswith("destroyed" if kind == "sealed" else "none")
    assert facts["remains"] == []
    searched = {(one["what"], one["found"]) for one in facts["searched"]}
    assert {("rows", 0), ("pages of the database", 0), ("index file", 0)} <= searched
    assert not any(found for _, found in searched)
    [backup] = facts["backups"]
    assert (backup["path"], backup["is_there"]) == (str(tmp_path / "after.sqlite3"), True)
    rotates = "`voiceid keys gallery rotate`" in facts["of_backups"]
    assert rotates == (kind == "sealed")
    assert vid.privacy.check(receipt.to_dict()) == receipt


def test_what_remains_after_an_erasure_is_found_and_said(
    gallery: OpenGallery, tmp_path: Path
) -> None:
    vid = gallery()
    enrolled(vid)
    database = tmp_path / "data" / "voiceid.sqlite3"
    vid._session.store.erase_remains()
    copied = database.with_name(f"{database.name}.before-0011")
    copied.write_bytes(database.read_bytes())
    receipt = vid.privacy.erase(NAME)
    assert [str(copied) in line for line in receipt.facts["remains"]] == [True]
    assert receipt.facts["erased_by"] == system_user()
    found = [one for one in receipt.facts["searched"] if one["found"]]
    assert [(one["where"], one["what"]) for one in found] == [
        (str(copied), "an older copy of the database")
    ]


def test_a_code_is_in_the_report_and_no_name_of_it_survives_a_rename_and_an_erasure(
    gallery: OpenGallery, tmp_path: Path
) -> None:
    vid = gallery()
    enrolled(vid)
    until = datetime.now(UTC) + timedelta(seconds=20)
    with vid._session.store.write() as writer:
        writer.spoken.ask(Challenge("code", NAME, ("one", "two", "six"), until), "front door")
    report = vid.privacy.report(NAME)
    assert report.codes == [{"caller": "front door", "expires_at": until.isoformat()}]
    assert report.to_dict()["codes"] == report.codes
    assert "front door" in vid.privacy.page(report)
    assert vid.privacy.report("bob").codes == []
    vid.speakers.rename(NAME, "anna")
    with vid._session.store.read() as reader:
        assert reader.connection.execute(select(challenges)).all() == []
    vid.privacy.erase("anna")
    assert files_holding(tmp_path / "data", ["ünlisted>".encode()]) == set()


def test_a_receipt_is_given_where_the_rows_cannot_be_searched(
    gallery: OpenGallery, kind: str
) -> None:
    vid = gallery()
    enrolled(vid)
    with vid._session.store.write() as writer:
        writer.jobs.add("job", JobKind.ENROLL, "a", {"clips": []})
        writer.connection.execute(update(jobs).values(key_id="mallory"))  # by another hand
    searched = vid.privacy.erase(NAME).facts["searched"]
    unknown = [one["what"] for one in searched if one["found"] is None]
    assert [what[:12] for what in unknown] == ["not searched"] * (kind == "sealed")
    assert vid.speakers.count() == 1


def test_a_receipt_that_was_changed_anywhere_is_refused(
    gallery: OpenGallery, tmp_path: Path
) -> None:
    vid = gallery()
    enrolled(vid)
    document = vid.privacy.erase(NAME).to_dict()
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(document, indent=2))  # how it is written is not signed
    assert vid.privacy.check(file).facts["speaker"]["name"] == NAME

    def leaves(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
        return [
            found
            for key, held in pairs
            for found in (
                leaves(held, (*path, key)) if isinstance(held, dict | list) else [(*path, key)]
            )
        ]

    for path in leaves(document):  # each value, wherever it stands
        changed = copy.deepcopy(document)
        place: object = changed
        for key in path[:-1]:
            place = place[key]  # type: ignore[index]
        was = place[path[-1]]  # type: ignore[index]
        place[path[-1]] = was + 1 if isinstance(was, int) else f"{was}x"  # type: ignore[index]
        with pytest.raises(ReceiptInvalid):
            vid.privacy.check(changed)
    document["receipt"]["added"] = 1
    with pytest.raises(ReceiptInvalid, match="was changed after it was signed"):
        vid.privacy.check(document)
    twice = file.read_text().replace('"receipt": {', '"receipt": {"erased_by": "another",', 1)
    for text in ("{", twice):
        file.write_text(text)
        with pytest.raises(ReceiptInvalid, match="cannot be read"):
            vid.privacy.check(file)
    file.write_bytes(b"\x80")
    with pytest.raises(ReceiptInvalid, match=f"receipt {file} cannot be read: it is not text"):
        vid.privacy.check(file)


def test_a_receipt_is_checked_elsewhere_with_the_public_key_alone(
    gallery: OpenGallery, kind: str, tmp_path: Path
) -> None:
    vid = gallery()
    enrolled(vid)
    receipt = vid.privacy.erase(NAME)
    assert receipt.public_key == vid.privacy.key()
    assert (tmp_path / "data" / "receipts.key").exists() == (kind == "plain")
    (tmp_path / "other").mkdir()
    with VoiceID.open(tmp_path / "other", home=tmp_path / "other") as other:
        with pytest.raises(ReceiptInvalid, match="signed with another key"):
            other.privacy.check(receipt.to_dict())
        assert other.privacy.check(receipt.to_dict(), vid.privacy.key()) == receipt
    if kind == "plain":
        assert (tmp_path / "data" / "receipts.key").stat().st_mode & 0o777 == 0o600
        vid.keys.gallery.init()  # receipts of before hold still
    else:
        vid.keys.gallery.rotate()
        vid.keys.gallery.renew()
        assert vid.privacy.key() == receipt.public_key
    assert vid.privacy.check(receipt.to_dict()) == receipt


@pytest.mark.parametrize("kind", ["sealed"], indirect=True)
def test_the_key_of_an_erased_speaker_is_gone_and_its_wrapping_too(
    gallery: OpenGallery, tmp_path: Path
) -> None:
    vid = gallery()
    enrolled(vid)
    with vid._session.store.read() as reader:
        own = speaker_keys.c.speaker_id == reader.speakers.get(NAME).id
        wrapped = reader.connection.execute(select(speaker_keys.c.wrapped).where(own)).scalar_one()
        secret = reader.protection.key(reader.speakers.get(NAME).id).secret
    assert files_holding(tmp_path / "data", [wrapped])
    with gallery() as service:
        service.speakers.list()
        vid.privacy.erase(NAME)
        assert not files_holding(tmp_path / "data", [wrapped])
        del reader
        gc.collect()
        there = [one for one in gc.get_objects() if isinstance(one, Key)]
        assert secret not in [key.secret for key in there]
        assert len(there) > 3  # those of the gallery


def test_a_restore_says_who_was_not_in_the_database_any_more(
    gallery: OpenGallery, tmp_path: Path
) -> None:
    vid, said = gallery(), list[str]()
    vid._session.notify = said.append
    number = enrolled(vid)[0].speaker_id
    vid.database.backup(tmp_path / "before.sqlite3")
    vid.database.restore(tmp_path / "before.sqlite3")
    assert said == []
    vid.privacy.erase(NAME)
    vid.database.restore(tmp_path / "before.sqlite3")
    [sentence] = said
    assert f"not in the database any more: 1 (numbers {number}); erase again" in sentence
    vid.privacy.erase(NAME)
    assert [speaker.name for speaker in vid.speakers.list()] == ["bob"]


def test_a_restore_says_who_had_been_disabled(gallery: OpenGallery, tmp_path: Path) -> None:
    vid, said = gallery(), list[str]()
    vid._session.notify = said.append
    number = enrolled(vid)[0].speaker_id
    vid.database.backup(tmp_path / "before.sqlite3")
    vid.speakers.withdraw(NAME)
    vid.database.restore(tmp_path / "before.sqlite3")
    [sentence] = said
    assert f"disabled: 1 (numbers {number}); withdraw their consents again" in sentence


def test_an_erasure_on_a_server_says_what_is_not_searched(
    gallery: OpenGallery, postgres: Databases
) -> None:
    url = postgres.migrated()
    vid = gallery(url)
    try:
        enrolled(vid)
        facts = vid.privacy.erase(NAME).facts
        assert facts["searched"][0]["found"] == 0
        assert "until its next VACUUM" in facts["searched"][-1]["what"]
        assert "password" not in json.dumps(facts)
        assert vid.privacy.run().due == ()
    finally:
        vid.close()
        postgres.drop(url)


class Tags(HTMLParser):
    """Collects what a page has, and refuses what loads something."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {"src", "href"} & {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_report_has_everything_that_is_kept_of_a_person_and_nothing_of_others(
    gallery: OpenGallery, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    log = tmp_path / "data" / "events.jsonl"
    vid = gallery(log__file=str(log), retention={"max_age_days": 100})
    handler = logging.FileHandler(log.parent.mkdir(exist_ok=True) or log, encoding="utf-8")
    handler.setFormatter(EventFormatter("door"))
    LOG.addHandler(handler)
    try:
        samples = enrolled(vid)
        vid.database.backup(tmp_path / "backup.sqlite3")
        own, other = (utterance(c, vid.models.space) for c in (CLIPS[7], OTHERS[7]))
        assert vid.identify(own).accepted
        assert vid.verify("bob", other).accepted
        vid.verify(NAME, other, caller="front door")
    finally:
        LOG.removeHandler(handler)
        handler.close()
    with vid._session.store.write() as writer:
        writer.jobs.add("job1", JobKind.ENROLL, None, {"clips": [["1", f"{NAME}/1.wav"]]})
        writer.jobs.add("job2", JobKind.ENROLL, None, {"clips": [["1", "bob/1.wav"]]})
    report = vid.privacy.report(NAME.upper())
    facts = report.to_dict()
    assert facts["speaker"]["metadata"] == {"badge": "4711 & more"}
    assert [one["id"] for one in facts["samples"]] == [sample.id for sample in samples]
    assert "vector" not in json.dumps(facts["samples"])
    assert all("vector" in one for one in report.to_dict(vectors=True)["samples"])
    assert [one["caller"] for one in facts["attempts"]] == ["front door"]
    assert [one["id"] for one in facts["jobs"]] == ["job1"]
    assert [e.get("task") or e["kind"] for e in facts["uses"]["events"]] == [
        *("enroll", "enroll", "identify", "verify")
    ]
    assert [one["rule"] for one in facts["due"]] == ["max_age_days"]
    assert [one["path"] for one in facts["backups"]] == [str(tmp_path / "backup.sqlite3")]
    page = vid.privacy.page(report)
    tags = Tags()
    tags.feed(page)
    text = " ".join(tags.text)
    assert "script" not in tags.tags
    assert f"What is kept of {NAME}" in text
    for expected in ("4711 & more", "staff", "phone", "2026-03", "the desk", "front door", "job1"):
        assert expected in text
    assert "bob" not in text
    assert "<Ünlisted>" not in page


def test_a_run_of_the_night_leaves_its_receipts_where_the_settings_say(
    gallery: OpenGallery, postgres: Databases, tmp_path: Path
) -> None:
    for url in (None, postgres.migrated()):
        vid = gallery(url, retention={"max_age_days": 10}, receipts=str(tmp_path / "receipts"))
        enrolled(vid)
        change(vid, "bob", created_at="2020-01-01T00:00:00+00:00")
        run = vid.privacy.run_of_the_night()
        assert run is not None
        [file] = vid._session.config.privacy.receipts.iterdir()
        assert vid.privacy.check(file).facts["speaker"]["name"] == "bob"
        file.unlink()
        vid.close()
    postgres.drop(url)


def test_a_report_has_what_the_record_has_whatever_is_recorded_now(gallery: OpenGallery) -> None:
    vid = gallery(audit__record="all")
    enrolled(vid)
    own, other = (utterance(c, vid.models.space) for c in (CLIPS[7], OTHERS[7]))
    vid.identify(own)
    vid.verify(NAME, other, caller="front door")
    vid.identify(other)
    report = vid.privacy.report(NAME)
    assert report.uses_from == ("the audit chain",)
    assert [e.get("task") or e["kind"] for e in report.uses] == ["enroll", "identify", "verify"]
    assert [e.get("outcome") for e in report.uses] == [None, "accepted", "rejected"]
    assert "front door" in vid.privacy.page(report)
    assert vid.privacy.report(NAME, days=1).uses == report.uses
    now = gallery(audit__record="changes").privacy.report(NAME)
    assert (now.uses, now.uses_from) == (report.uses, ("the audit chain, decisions not recorded",))


def test_rules_of_retention_say_who_goes_and_erase_them(
    gallery: OpenGallery, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    rules = {"max_age_days": 1000, "after_consent_end_days": 10}
    vid = gallery(retention=rules)
    enrolled(vid)
    vid.enroll("carol", heard(vid, CLIPS[5:]), force=True)
    assert vid.privacy.run().due == ()
    change(vid, "bob", created_at=(now - timedelta(days=980)).isoformat())
    change(vid, "carol", created_at=(now - timedelta(days=1001)).isoformat())
    vid.speakers.withdraw(NAME)
    planned = vid.privacy.run(dry_run=True)
    assert vid.speakers.count() == 3
    done = vid.privacy.run()
    for run in (planned, done):
        assert [(one.speaker.name, one.rule) for one in run.due] == [("carol", "max_age_days")]
        assert [(one.speaker.name, one.rule) for one in run.upcoming] == [
            (NAME, "after_consent_end_days"),
            ("bob", "max_age_days"),
        ]
    assert {s.name for s in vid.speakers.list()} == {NAME, "bob"}
    [receipt] = done.receipts
    assert (receipt.facts["speaker"]["name"], receipt.facts["rule"]) == ("carol", "max_age_days")
    assert len(receipt.facts["erased"]["samples"]) == 3
    assert not any(place["found"] for place in receipt.facts["searched"])
    vid.privacy.keep(done.receipts, tmp_path / "receipts")
    [file] = (tmp_path / "receipts").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert vid.privacy.check(file) == receipt
    assert done.upcoming[0].due_at - now < timedelta(days=11)


def test_a_use_is_noted_once_a_day_and_only_where_a_rule_asks(gallery: OpenGallery) -> None:
    vid, today = gallery(), datetime.now(UTC).date().isoformat()
    enrolled(vid)
    probe = utterance(CLIPS[7], vid.models.space)
    assert vid.identify(probe).accepted
    assert vid.privacy.report(NAME).last_used_on is None
    counting = gallery(retention={"unused_days": 20})
    enrolled_before = counting.privacy.run(dry_run=True)
    assert enrolled_before.due == enrolled_before.upcoming == ()
    assert [one.speaker.name for one in counting.privacy.run().upcoming] == [NAME, "bob"]
    long_ago = (datetime.now(UTC) - timedelta(days=30)).date().isoformat()
    change(counting, None, last_used_on=long_ago)
    assert counting.identify(probe).accepted
    assert counting.privacy.report(NAME).last_used_on == today
    change(counting, None, last_used_on="2020-01-01")
    assert counting.identify(probe).accepted
    assert counting.privacy.report(NAME).last_used_on == "2020-01-01"  # no second write that day
    assert gallery(retention={}).privacy.run().due == ()
    assert gallery(retention={"unused_days": 20}).privacy.run().due == ()  # it counts anew


def test_a_date_that_is_to_come_keeps_no_speaker_longer(gallery: OpenGallery) -> None:
    ahead = "2999-01-01T00:00:00+00:00"
    vid = gallery(retention={"max_age_days": 20}, erase_withdrawn_after_days=10)
    enrolled(vid)
    vid.enroll("carol", heard(vid, CLIPS[5:]), force=True)
    with vid._session.store.write() as writer:
        writer.effects.now = ahead
        writer.speakers.withdraw(writer.speakers.get(NAME), "the desk")
    vid.speakers.edit(NAME, SpeakerDetails(groups=("lobby",)))
    change(vid, "carol", created_at=ahead, updated_at=ahead)
    ends = {NAME: "withdrawn", "bob": "max_age_days", "carol": "max_age_days"}
    dry = vid.privacy.run(dry_run=True)
    for run in (dry, vid.privacy.run()):
        assert {one.speaker.name: one.rule for one in run.upcoming} == ends
    assert vid.speakers.get("carol").created_at <= datetime.now(UTC)


def test_after_a_clock_that_was_ahead_a_run_lets_speakers_with_an_expiry_in_again(
    gallery: OpenGallery,
) -> None:
    vid = gallery()
    enrolled(vid)
    until = datetime.now(UTC) + timedelta(hours=1)
    vid.speakers.edit(NAME, SpeakerDetails(expires_at=until))
    with vid._session.store.write() as writer:
        writer.effects.now = "2999-01-01T00:00:00+00:00"
        writer.backups.add("voices.sqlite3", "0" * 64)
        assert writer.retention.begin_run()
    probe = utterance(CLIPS[7], vid.models.space)
    assert vid.verify(NAME, probe).reason is Reason.CLOCK_BEHIND
    vid.privacy.run()
    assert vid.verify(NAME, probe).accepted


def test_a_run_with_a_clock_that_is_behind_erases_nobody_and_changes_no_date(
    gallery: OpenGallery,
) -> None:
    vid = gallery(retention={"max_age_days": 20, "unused_days": 20})
    enrolled(vid)
    change(vid, None, updated_at="2999-01-01T00:00:00+00:00", last_used_on="2999-01-01")
    change(vid, NAME, created_at="2020-01-01T00:00:00+00:00")
    for dry_run in (True, False):
        with pytest.raises(StoreError, match="2 of 2 speakers were changed later than now"):
            vid.privacy.run(dry_run=dry_run)
    assert vid.speakers.count() == 2
    assert vid.speakers.get("bob").updated_at.year == 2999


def test_of_several_services_one_makes_the_run_of_a_night(
    new_database, tmp_path: Path, postgres: Databases
) -> None:
    del new_database

    url = postgres.migrated()
    try:
        for where in (None, url):
            first, second = (opened(tmp_path / str(where is None), "plain", where) for _ in "12")
            assert first.speakers.count() == 0
            runs = [vid.privacy.run_of_the_night() for vid in (first, second, first)]
            assert [run is None for run in runs] == [False, True, True]
            first.close()
            second.close()
    finally:
        postgres.drop(url)
