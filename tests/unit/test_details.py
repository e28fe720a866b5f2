"""What may stand in groups, labels, metadata and expiries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.domain import Consent, Speaker, SpeakerDetails, Standing, expiry, moment, tag
from voiceid.errors import SpeakerDetailInvalid, VoiceIDError

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@given(st.text(max_size=80))
def test_a_tag_is_the_same_however_often_it_is_brought_into_form(text: str) -> None:
    try:
        once = tag("group", text)
    except SpeakerDetailInvalid:
        return
    assert tag("group", once) == once
    assert ";" not in once
    assert 1 <= len(once) <= 64


def test_tags_are_distinguished_by_more_than_case_and_width() -> None:
    assert tag("group", " Lobby ") == tag("group", "lobby") == tag("group", "\uff2cobby")
    assert tag("label", "Türe") != tag("label", "Ture")


@pytest.mark.parametrize("text", ["", "  ", "a;b", "a\nb", "a\u202eb", "x" * 65])
def test_what_cannot_be_a_tag_is_refused(text: str) -> None:
    with pytest.raises(SpeakerDetailInvalid, match="cannot be a label"):
        tag("label", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-24T12:00", NOON),
        ("2026-11-24T13:00+01:00", NOON),
        ("2026-11-24T12:00:00Z", NOON),
    ],
)
def test_a_moment_is_utc(text: str, expected: datetime) -> None:
    assert moment(text) == expected
    assert moment(text).utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", ["", "tomorrow", "24.11.2026", "0001-01-01T00:00+14:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(SpeakerDetailInvalid, match="is not a date or time"):
        moment(text)


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("31.12.2026", ": write 2026-12-31"),
        ("1.2.2026", ": write 2026-02-01"),
        ("31/12/2026", ": write 2026-12-31"),
        ("12/31/2026", ": write 2026-12-31"),
        ("1/2/2026", " "),
        ("32.12.2026", " "),
    ],
)
def test_a_date_in_another_order_is_answered_with_the_right_one(text: str, way_out: str) -> None:
    with pytest.raises(SpeakerDetailInvalid) as refused:
        expiry(text)
    assert f"is not a date or time{way_out.strip()}" in refused.value.message
    assert ("write" in refused.value.message) == bool(way_out.strip())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-11-24T12:00", NOON),
        ("2026-11-24T00:00", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-24T13:00+01:00", NOON),
    ],
)
def test_an_expiry_that_is_a_date_includes_that_day(text: str, expected: datetime) -> None:
    assert expiry(text) == expected


def test_the_last_day_of_the_calendar_is_refused_as_an_expiry() -> None:
    with pytest.raises(SpeakerDetailInvalid, match="too late"):
        expiry("9999-12-31")


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))])))
def test_a_moment_that_was_written_is_read_again(at: datetime) -> None:
    try:
        found = moment(at.isoformat())
    except VoiceIDError:
        assert at.year in {1, 9999}
        return
    assert found == at


def test_an_expiry_without_an_offset_is_utc() -> None:
    assert SpeakerDetails(expires_at=datetime(2026, 11, 24, 12)).expires_at == NOON  # noqa: DTZ001


@pytest.mark.parametrize(
    "wrong",
    [
        {"groups": ("a", "b"), "not_groups": ("B",)},
        {"groups": ("",)},
        {"groups": tuple(f"g{n}" for n in range(257))},
        {"consents": tuple(Consent(f"v{n}") for n in range(257))},
        {"consents": (Consent("v", tuple(f"p{n}" for n in range(257))),)},
        {"metadata": {"": "x"}},
        {"metadata": {"a=b": "x"}},
        {"metadata": {"k" * 65: "x"}},
        {"metadata": {"k": "x" * 1025}},
        {"metadata": {"k": "two\nlines"}},
        {"metadata": {f"k{n}": "x" for n in range(257)}},
        {"expires_at": NOON, "never_expires": True},
    ],
)
def test_details_that_cannot_be_meant_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpeakerDetailInvalid) as refused:
        SpeakerDetails(**wrong)
    assert refused.value.hint


def test_details_know_when_they_change_nothing() -> None:
    assert SpeakerDetails().changes_nothing
    assert not SpeakerDetails(enabled=True).changes_nothing
    assert not SpeakerDetails(metadata={"a": None}).changes_nothing


def speaker(**more: object) -> Speaker:
    return Speaker(1, "alice", NOON, NOON, 1, 2.0, (), **more)


@pytest.mark.parametrize(
    ("after_s", "expected"), [(-1, Standing.ACTIVE), (0, Standing.EXPIRED), (1, Standing.EXPIRED)]
)
def test_a_speaker_expires_at_the_very_moment(after_s: float, expected: Standing) -> None:
    now = NOON + timedelta(seconds=after_s)
    assert speaker(expires_at=NOON).standing(now) is expected


def test_who_is_disabled_is_so_whatever_the_expiry() -> None:
    far = NOON + timedelta(days=9999)
    assert speaker(expires_at=far, disabled_at=NOON).standing(NOON) is Standing.DISABLED
    assert speaker(expires_at=NOON, disabled_at=NOON).standing(far) is Standing.DISABLED
