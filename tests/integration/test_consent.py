"""Consents: who agreed to what until when, and what is refused without."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from postgres_server import Databases
from private_galleries import OpenGallery, heard
from random_voices import files_holding
from torture.voices import REPO, new_clips

from voiceid import Consent, Reason, SpeakerDetails, VoiceID
from voiceid.domain import Speaker, Standing
from voiceid.enrollment import Person, read_manifest
from voiceid.errors import ChangeRefused, ConsentMissing, EnrollmentRefused, SpeakerDetailInvalid

CLIPS = new_clips(np.random.default_rng(11), 8, 5)
OTHERS = new_clips(np.random.default_rng(12), 8, 6)
DOOR = Consent("2026-03", ("Door",), recorded_by="the desk")


def asked(vid: VoiceID, clip: int = CLIPS[7], purpose: str | None = None) -> tuple[bool, Reason]:
    """Ask who speaks, and whether it is alice; the answers are of one kind."""
    who = vid.identify(heard(vid, [clip])[0], purpose=purpose)
    claimed = vid.verify("alice", heard(vid, [clip])[0], purpose=purpose)
    assert (who.accepted, who.reason) == (claimed.accepted, claimed.reason)
    return who.accepted, who.reason


def test_a_purpose_is_accepted_while_a_consent_for_it_is_in_force(gallery: OpenGallery) -> None:
    vid = gallery()
    until = datetime.now(UTC) + timedelta(days=1)
    vid.enroll("alice", heard(vid, CLIPS[:3]), consent=DOOR)
    assert asked(vid) == asked(vid, purpose="DOOR") == (True, Reason.MATCH)
    assert asked(vid, purpose="payment") == (False, Reason.NO_CONSENT)
    payment = Consent("2026-04", ("payment",), until)
    vid.speakers.edit("alice", SpeakerDetails(consents=(payment,)))
    assert asked(vid, purpose="payment") == (True, Reason.MATCH)
    door, added = vid.speakers.get("alice").consents
    assert (door.text, door.purposes, door.recorded_by) == ("2026-03", ("door",), "the desk")
    assert added.recorded_by
    assert added.until == until
    assert added.recorded_at is not None
    found = vid.identify(heard(vid, [CLIPS[7]])[0], purpose="lift")
    assert found.detail.startswith("no consent of alice is in force for lift")


def test_consents_of_a_speaker_have_a_limit_at_which_one_can_still_withdraw(
    gallery: OpenGallery,
) -> None:
    vid = gallery()
    first, second = (tuple(Consent(f"{n}-{i}") for i in range(200)) for n in range(2))
    vid.enroll("alice", heard(vid, CLIPS[:3]))
    vid.speakers.edit("alice", SpeakerDetails(consents=first))
    with pytest.raises(SpeakerDetailInvalid, match="400 consents, over the limit of 256"):
        vid.speakers.edit("alice", SpeakerDetails(consents=second))
    vid.speakers.edit("alice", SpeakerDetails(consents=second[:56]))
    vid.speakers.edit("alice", SpeakerDetails(consents=first))  # known ones are not added
    assert len(vid.speakers.get("alice").consents) == 256
    vid.speakers.withdraw("alice")
    assert asked(vid) == (False, Reason.SPEAKER_DISABLED)


def test_a_consent_that_ended_bars_by_the_rule_of_an_expiry(gallery: OpenGallery) -> None:
    vid = gallery()
    past = datetime.now(UTC) - timedelta(seconds=1)
    vid.enroll("alice", heard(vid, CLIPS[:3]))
    assert asked(vid, purpose="door") == (False, Reason.NO_CONSENT)
    vid.speakers.edit("alice", SpeakerDetails(consents=(Consent("1", ("door",), past),)))
    assert vid.speakers.get("alice").standing() is Standing.NO_CONSENT
    assert vid.events.gallery().standing["no_consent"] == 1
    assert asked(vid) == (False, Reason.NO_CONSENT)
    with pytest.raises(EnrollmentRefused, match="no consent of alice is in force"):
        vid.enroll("alice", heard(vid, CLIPS[3:4]))
    vid.enroll("alice", heard(vid, CLIPS[3:4]), consent=Consent("2", ("door",)))
    assert asked(vid, purpose="door") == (True, Reason.MATCH)


def test_a_withdrawal_disables_at_once_and_is_not_undone_by_enabling(gallery: OpenGallery) -> None:
    vid = gallery()
    vid.enroll("alice", heard(vid, CLIPS[:3]), consent=DOOR)
    done = vid.speakers.withdraw("alice", "key 1234")
    assert not done.erased
    assert done.erase_at - datetime.now(UTC) > timedelta(days=29)
    [consent] = vid.speakers.get("alice").consents
    assert (consent.withdrawn_by, consent.withdrawn_at) == ("key 1234", done.speaker.withdrawn_at)
    assert asked(vid, purpose="door") == (False, Reason.SPEAKER_DISABLED)
    with pytest.raises(ChangeRefused, match="withdrew the consent"):
        vid.speakers.edit("alice", SpeakerDetails(enabled=True))
    vid.speakers.edit("alice", SpeakerDetails(enabled=True, consents=(DOOR,)))
    assert asked(vid, purpose="door") == (True, Reason.MATCH)
    assert len(vid.speakers.get("alice").consents) == 2


def test_who_never_consented_can_withdraw_and_days_of_none_erase_at_once(
    gallery: OpenGallery,
) -> None:
    vid = gallery(erase_withdrawn_after_days=0)
    vid.enroll("alice", heard(vid, CLIPS[:3]))
    done = vid.speakers.withdraw("alice", "front desk")
    assert done.erased
    assert vid.speakers.count() == 0
    receipt = vid.privacy.check(done.to_dict()["receipt"])
    assert receipt.facts["erased_by"] == "front desk"
    assert len(receipt.facts["erased"]["samples"]) == 3
    assert not any(place["found"] for place in receipt.facts["searched"])
    assert [event.kind for event in vid.audit.list()][-2:] == ["withdraw", "remove"]
    vid.enroll("alice", heard(vid, CLIPS[:3]))
    vid._session.store.erase_remains()
    database = vid.database.location
    assert isinstance(database, Path)
    copied = database.with_name(f"{database.name}.before-0011")
    copied.write_bytes(database.read_bytes())
    again = vid.privacy.check(vid.speakers.withdraw("alice").to_dict()["receipt"])
    [remains] = again.facts["remains"]
    assert str(copied) in remains
    kept = gallery()
    kept.enroll("alice", heard(kept, CLIPS[:3]))
    assert kept.speakers.withdraw("alice").speaker.withdrawn_at is not None
    assert asked(kept) == (False, Reason.SPEAKER_DISABLED)


def test_consents_that_are_required_are_required_however_a_voice_comes_in(
    gallery: OpenGallery, tmp_path: Path
) -> None:
    vid = gallery()
    vid.enroll("alice", heard(vid, CLIPS[:3]))
    vid.enroll("bob", heard(vid, OTHERS[:3]), consent=DOOR)
    vid.speakers.export(tmp_path / "both.jsonl", plain=True)
    vid.speakers.export(tmp_path / "bob.jsonl", ["bob"], plain=True)
    vid.speakers.remove("bob")
    np.save(tmp_path / "v.npy", vid.samples.list("alice")[0].vector[None])
    (tmp_path / "v.txt").write_text("carol\n")
    vid.speakers.remove("alice")

    strict = gallery(require_consent=True)
    for dry_run in (False, True):
        with pytest.raises(EnrollmentRefused, match="no consent of alice"):
            strict.enroll("alice", heard(strict, CLIPS[:3]), force=True, dry_run=dry_run)
    person = Person("alice", tuple(heard(strict, CLIPS[:3])))
    [refused] = strict.enroll_all([person])
    assert [problem.code for problem in refused.blocking] == ["no_consent"]
    strict.speakers.add("alice")
    with pytest.raises(EnrollmentRefused):
        strict.enroll("alice", heard(strict, CLIPS[:3]), mode="collect")
    strict.speakers.remove("alice")
    with pytest.raises(ConsentMissing, match="alice"):
        strict.speakers.import_file(tmp_path / "both.jsonl")
    facts = {"space": strict.models.space, "ids": tmp_path / "v.txt", "net_speech_s": 5.0}
    with pytest.raises(ConsentMissing, match="carol"):
        strict.speakers.import_embeddings(tmp_path / "v.npy", **facts)
    assert strict.speakers.count() == 0

    strict.speakers.import_embeddings(tmp_path / "v.npy", **facts, consents=[DOOR])
    strict.speakers.import_file(tmp_path / "bob.jsonl")
    assert strict.speakers.get("bob").consents[0].text == "2026-03"
    assert strict.speakers.get("carol").consents[0].text == "2026-03"
    numbers = [sample.id for sample in strict.samples.list("bob")]
    with pytest.raises(ConsentMissing, match="dora"):
        strict.speakers.split("bob", "dora", numbers[:1])
    merged = strict.speakers.merge("carol", "bob", force=True)
    assert merged.merged is not None
    assert len(merged.merged.consents) == 1


def test_what_is_split_off_is_accepted_no_longer_than_the_speaker(gallery: OpenGallery) -> None:
    vid, until = gallery(), datetime.now(UTC) + timedelta(days=1)
    vid.enroll("alice", heard(vid, CLIPS[:6]), details=SpeakerDetails(expires_at=until))

    def split(new: str) -> Speaker:
        sample = vid.samples.list("alice")[0].id
        made = vid.speakers.split("alice", new, [sample], force=True).new
        assert made is not None
        return made

    assert (split("first").expires_at, split("second").disabled_at) == (until, None)
    vid.speakers.edit("alice", SpeakerDetails(enabled=False))
    assert split("third").standing() is Standing.DISABLED
    vid.speakers.withdraw("alice")
    withdrawn = split("fourth")
    assert withdrawn.standing() is Standing.DISABLED
    assert withdrawn.withdrawn_at is not None
    with pytest.raises(ChangeRefused, match="withdrew"):
        vid.speakers.edit("fourth", SpeakerDetails(enabled=True))


def test_a_merge_with_somebody_who_withdrew_is_withdrawn(gallery: OpenGallery) -> None:
    vid = gallery()
    vid.enroll("alice", heard(vid, CLIPS[:3]), consent=DOOR)
    vid.enroll("alicia", heard(vid, CLIPS[3:6]), force=True)
    vid.speakers.withdraw("alicia")
    vid.speakers.merge("alice", "alicia", force=True)
    assert vid.speakers.get("alice").withdrawn_at is not None
    assert asked(vid, purpose="door") == (False, Reason.SPEAKER_DISABLED)


def test_a_list_says_consents_and_reading_it_again_records_none_twice(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        "name,path,consent,purpose,until,recorded_by\n"
        "alice,a.wav,2026-03,door; lift,2099-12-31,HR\n"
        "alice,b.wav,2026-03,door; lift,2099-12-31,HR\n"
    )
    [person] = read_manifest(path)
    [consent] = person.details.consents
    assert (consent.purposes, consent.recorded_by) == (("door", "lift"), "HR")
    assert consent.until == datetime(2100, 1, 1, tzinfo=UTC)
    path.write_text("name,path,purpose\nalice,a.wav,door\n")
    with pytest.raises(Exception, match="without a consent"):
        read_manifest(path)
    settings = {"models": str(REPO / "models"), "offline": True}
    with VoiceID.open(tmp_path / "data", home=tmp_path, overrides=settings) as vid:
        vid.speakers.add("alice", person.details)
        vid.speakers.edit("alice", person.details)
        assert len(vid.speakers.get("alice").consents) == 1


def test_nothing_of_a_consent_is_readable_in_a_sealed_gallery(
    gallery: OpenGallery, kind: str, tmp_path: Path
) -> None:
    vid = gallery()
    secret = Consent("Text-of-Secrets", ("purpose-of-secrets",), recorded_by="Secretary Sealed")
    vid.enroll("alice", heard(vid, CLIPS[:3]), consent=secret)
    vid.speakers.withdraw("alice", "Secretary Sealed")
    vid.database.backup(tmp_path / "Folder-of-Alice.sqlite3")
    texts = [b"Text-of-Secrets", b"purpose-of-secrets", b"Secretary Sealed", b"Folder-of-Alice"]
    assert bool(files_holding(tmp_path / "data", texts)) == (kind == "plain")
    if kind == "sealed":
        vid.keys.gallery.off()
        [consent] = vid.speakers.get("alice").consents
        assert consent.purposes == ("purpose-of-secrets",)
        [backup] = vid.privacy.report("alice").backups
        assert backup.path == str(tmp_path / "Folder-of-Alice.sqlite3")
        assert files_holding(tmp_path / "data", texts)


@pytest.mark.parametrize("kind", ["sealed"], indirect=True)
def test_the_end_of_a_consent_that_is_changed_in_a_sealed_gallery_is_seen(
    gallery: OpenGallery,
) -> None:
    vid = gallery()
    vid.enroll("alice", heard(vid, CLIPS[:3]), consent=DOOR)
    with vid._session.store.write() as writer:
        late = "UPDATE speakers SET consent_until = '2099-01-01T00:00:00+00:00'"
        writer.connection.exec_driver_sql(late)
    with pytest.raises(Exception, match="was changed or moved"):
        asked(vid)


def test_consents_hold_on_a_server_too(gallery: OpenGallery, postgres: Databases) -> None:
    url = postgres.migrated()
    try:
        vid = gallery(url)
        vid.enroll("alice", heard(vid, CLIPS[:3]), consent=DOOR)
        assert asked(vid, purpose="door") == (True, Reason.MATCH)
        assert asked(vid, purpose="lift") == (False, Reason.NO_CONSENT)
        vid.speakers.withdraw("alice")
        assert vid.events.gallery().standing["disabled"] == 1
        vid.close()
    finally:
        postgres.drop(url)


@pytest.mark.parametrize("text", ["", " ", "a;b", "x" * 65, "a\u200bb"])
def test_a_text_that_nobody_can_read_is_no_version(text: str) -> None:
    with pytest.raises(SpeakerDetailInvalid, match="cannot be the version of a text"):
        Consent(text)


def test_the_json_of_a_consent_is_read_back() -> None:
    consent = Consent("1", ("door",), datetime(2030, 1, 1, tzinfo=UTC))
    assert Consent.of_dict(json.loads(json.dumps(consent.to_dict()))) == consent
