"""What lies near is not believed: an index file, the clock, a recording that is enrolled itself."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceid import Outcome, Reason, StoreError, VoiceID
from voiceid.domain import EmbeddedClip, SpeakerDetails, expiry
from voiceid.index.file import IndexFile

Clips = Callable[[str, str], list[Path]]
ROOT = Path(__file__).resolve().parents[2]
ENROLLED = {"alice": ("FEE083", "trn06"), "bob": ("MEE009", "dev00")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, clips: Clips) -> Path:
    """Alice, whose access ends one day, and bob."""
    folder = tmp_path_factory.mktemp("trust") / "data"
    with VoiceID.open(folder, home=ROOT) as vid:
        for name, (speaker, recording) in ENROLLED.items():
            details = SpeakerDetails(expires_at=expiry("2099-12-31") if name == "alice" else None)
            vid.enroll(name, clips(speaker, recording)[:3], details=details)
    return folder


@pytest.fixture(scope="module")
def gallery(data: Path) -> Iterator[VoiceID]:
    with VoiceID.open(data, home=ROOT) as vid:
        yield vid


@pytest.mark.parametrize("kind", ["FLAC", "WAV"])
def test_a_recording_that_is_enrolled_is_not_accepted(
    gallery: VoiceID, clips: Clips, kind: str
) -> None:
    samples, rate = soundfile.read(clips("FEE083", "trn06")[1], dtype="int16")
    again = io.BytesIO()
    soundfile.write(again, samples, rate, format=kind)
    clip = again.getvalue()
    for decision in (gallery.identify(clip), gallery.verify("alice", clip)):
        assert (decision.outcome, decision.reason) == (Outcome.REJECTED, Reason.REPLAYED)
        assert decision.score >= decision.threshold.value
    assert gallery.identify(clip, allow_replayed=True).accepted
    assert gallery.verify("alice", clip, allow_replayed=True).accepted
    assert gallery.verify("bob", clip).reason is Reason.BELOW_THRESHOLD
    assert gallery.compare(clip, clip).accepted


def test_the_settings_and_a_group_may_allow_replayed_recordings(data: Path, clips: Clips) -> None:
    clip = clips("FEE083", "trn06")[1]
    settings = {"decision.allow_replayed": True, "groups": {"vault": {"allow_replayed": False}}}
    with VoiceID.open(data, home=ROOT, overrides=settings) as vid:
        assert vid.verify("alice", clip).accepted
        assert vid.verify("alice", clip, allow_replayed=False).reason is Reason.REPLAYED
        vid.speakers.edit("alice", SpeakerDetails(groups=("vault",)))
        assert vid.identify(clip, group="vault").reason is Reason.REPLAYED


def test_while_the_clock_is_behind_the_database_no_expiry_is_believed(
    data: Path, clips: Clips
) -> None:
    probes = {"alice": clips("FEE083", "trn09")[0], "bob": clips("MEE009", "dev01")[0]}
    with VoiceID.open(data, home=ROOT) as vid:
        assert all(vid.verify(name, clip).accepted for name, clip in probes.items())
        [(before,)] = _run(data, "SELECT updated_at FROM speakers WHERE name = 'bob'")
        _run(
            data, "UPDATE speakers SET updated_at = ? WHERE name = 'bob'", "2098-01-01T00:00+00:00"
        )
        for decision in (vid.verify("alice", probes["alice"]), vid.identify(probes["alice"])):
            assert (decision.outcome, decision.reason) == (Outcome.REJECTED, Reason.CLOCK_BEHIND)
            assert "clock" in decision.detail
        assert vid.verify("bob", probes["bob"]).accepted, "has no expiry"
        _run(data, "UPDATE speakers SET updated_at = ? WHERE name = 'bob'", before)
        assert vid.identify(probes["alice"]).accepted


def _run(data: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(data / "voiceid.sqlite3")) as connection:
        rows = connection.execute(statement, values).fetchall()
        connection.commit()
    return rows


@pytest.mark.parametrize("tier", ["exact", "compact", "two-stage"])
def test_the_vectors_of_an_index_file_accept_no_stranger(data: Path, tier: str) -> None:
    settings = {"index.kind": tier}
    stranger = np.random.default_rng(3).standard_normal(192).astype(np.float32)
    stranger /= np.linalg.norm(stranger)
    with VoiceID.open(data, home=ROOT, overrides=settings) as vid:
        space = vid.models.space
        vid.index.rebuild()
        truth = vid.search(EmbeddedClip(stranger, space))
        file = IndexFile(data / "index" / f"{space.id}.index", space.id, space.dim)
        facts, arrays = file.read()
        if "vectors" in arrays:
            arrays["vectors"] = np.tile(stranger, (len(arrays["ids"]), 1))
        else:
            arrays["bytes"] = np.full_like(arrays["bytes"], 255)
        assert file.write(facts, arrays, over_newer=True)
    with VoiceID.open(data, home=ROOT, overrides=settings) as vid:
        decision = vid.identify(EmbeddedClip(stranger, space, net_speech_s=10.0))
        assert decision.reason is Reason.UNKNOWN
        found = [(one.speaker, one.score) for one in decision.candidates]
        assert found == [(one.speaker, one.score) for one in truth]
    if tier == "exact":
        assert not np.allclose(file.read()[1]["vectors"], stranger), "it was built again"


@pytest.mark.parametrize("place", [".", "voiceid.sqlite3"])
def test_nothing_is_decided_by_data_that_every_user_may_write_to(
    data: Path, clips: Clips, place: str
) -> None:
    clip, path = clips("FEE083", "trn09")[0], data / place
    said: list[str] = []
    before = path.stat().st_mode
    with VoiceID.open(data, home=ROOT, notify=said.append) as vid:
        try:
            path.chmod(before | 0o002)
            for ask in (vid.identify, lambda one: vid.verify("alice", one)):
                with pytest.raises(StoreError, match="no decision was made"):
                    ask(clip)
            found = [f for f in vid.events.examine() if f.health.value == "error"]
            assert {f.subject for f in found} == {"access"}, "of a log beside the database too"
            assert f"chmod o-w {path}" in found[0].hint
        finally:
            path.chmod(before)
            for log in data.glob("*-wal"):  # it has the permissions that the database had
                log.chmod(0o600)
        assert vid.identify(clip).accepted
    assert said == []
