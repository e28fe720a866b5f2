"""Keys to the service: what each may do, and that only hashes are kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clocks import set_clock
from sqlalchemy import update

from voiceid import VoiceID
from voiceid.domain import ApiKey, Scope
from voiceid.errors import (
    AccessDenied,
    ApiKeyInvalid,
    ApiKeyNotFound,
    ConfigError,
    SpeakerDetailInvalid,
    StoreError,
)
from voiceid.resources.signing_secret import signing_secret
from voiceid.store.tables import api_keys


@pytest.fixture
def vid(tmp_path: Path) -> VoiceID:
    return VoiceID.open(tmp_path / "data", home=tmp_path)


def test_a_key_is_known_by_its_text_and_its_secret_is_in_no_file(
    vid: VoiceID, tmp_path: Path
) -> None:
    made = vid.keys.create("door", ["verify"])
    assert vid.keys.check(made.text, "10.0.0.1") == made.key
    vid.close()
    secret = made.text.split("_", 2)[2].encode()
    assert all(secret not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "wrong", ["", "vid", "vid__", "vid_{id}_", "vid_{id}_x", "key_{id}_{secret}"]
)
def test_a_wrong_key_is_refused_in_the_same_words(vid: VoiceID, wrong: str) -> None:
    made = vid.keys.create("door", ["verify"])
    secret = made.text.split("_", 2)[2]
    text = wrong.format(id=made.key.id, secret=secret)
    with pytest.raises(AccessDenied, match="the key is unknown, or not valid for this address"):
        vid.keys.check(text, "10.0.0.1")


def test_a_key_is_refused_once_it_is_removed_or_has_expired(vid: VoiceID) -> None:
    soon = datetime.now(UTC) - timedelta(seconds=1)
    made, old = vid.keys.create("a", ["read"]), vid.keys.create("b", ["read"], expires_at=soon)
    with pytest.raises(AccessDenied, match="expired"):
        vid.keys.check(old.text, "10.0.0.1")
    vid.keys.require(made.key)
    with pytest.raises(AccessDenied, match="expired"):
        vid.keys.require(old.key)
    vid.keys.remove(made.key.id)
    with pytest.raises(AccessDenied):
        vid.keys.check(made.text, "10.0.0.1")
    with pytest.raises(ApiKeyNotFound):
        vid.keys.remove(made.key.id)
    assert vid.keys.any()  # one that has expired is one: the door does not open to all


def test_a_clock_that_was_set_back_brings_no_expired_key_or_session_back(
    vid: VoiceID, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = datetime.now(UTC)
    old = vid.keys.create("a", ["read"], expires_at=began + timedelta(hours=1))
    lasting = vid.keys.create("b", ["read"])
    session = vid.keys.start_session(lasting.key, began + timedelta(hours=1))

    modules = "voiceid.resources.keys", "voiceid.store.effects"
    later = began + timedelta(hours=2)
    set_clock(monkeypatch, later, *modules)
    vid.keys.create("c", ["read"])  # an event of this hour
    set_clock(monkeypatch, began + timedelta(seconds=5), *modules)
    for asks in (
        lambda: vid.keys.check(old.text, "10.0.0.1"),
        lambda: vid.keys.require(old.key),
        lambda: vid.keys.check_session(session, "10.0.0.1"),
    ):
        with pytest.raises(AccessDenied, match="the clock is earlier"):
            asks()
    assert vid.keys.check(lasting.text, "10.0.0.1") == lasting.key
    new = vid.keys.create("d", ["read"], expires_at=later + timedelta(hours=1))
    set_clock(monkeypatch, began + timedelta(seconds=-55), *modules)  # of another host
    assert vid.keys.check(new.text, "10.0.0.1") == new.key


def test_a_damaged_key_is_named_and_can_be_removed(vid: VoiceID) -> None:
    made = vid.keys.create("door", ["verify"])
    with vid._session.store.write() as writer:
        writer.connection.execute(update(api_keys).values(scopes="[]"))
    with pytest.raises(StoreError, match=made.key.id):
        vid.keys.list()
    assert vid.keys.remove(made.key.id) is None
    assert vid.keys.list() == []


@pytest.mark.parametrize("stored", ["CAST(x'ff' AS TEXT)", "x'00'", "'\u00e9'", "''", "7"])
def test_a_damaged_hash_is_that_of_no_key(vid: VoiceID, stored: str) -> None:
    made = vid.keys.create("door", ["verify"])
    with vid._session.store.write() as writer:
        damage = f"UPDATE api_keys SET secret_sha256 = {stored}"  # noqa: S608
        writer.connection.exec_driver_sql(damage)
    with pytest.raises(AccessDenied, match="the key is unknown"):
        vid.keys.check(made.text, "10.0.0.1")


@pytest.mark.parametrize(
    ("address", "is_taken"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False), ("testclient", False)],
)
def test_a_key_is_taken_from_its_networks_alone(
    vid: VoiceID, address: str, *, is_taken: bool
) -> None:
    made = vid.keys.create("door", ["verify"], networks=["10.0.0.0/8", "2001:db8::/32"])
    if is_taken:
        assert vid.keys.check(made.text, address).name == "door"
    else:
        with pytest.raises(AccessDenied):
            vid.keys.check(made.text, address)


def test_a_session_stands_for_its_key_and_ends_with_it(vid: VoiceID) -> None:
    made = vid.keys.create("console", ["read"], networks=["10.0.0.0/8"])
    now = datetime.now(UTC)
    text = vid.keys.start_session(made.key, now + timedelta(hours=1))
    assert made.text not in text
    assert vid.keys.check_session(text, "10.0.0.1") == made.key
    signed, _, signature = text.rpartition(".")
    other = vid.keys.start_session(vid.keys.create("b", ["admin"]).key, now + timedelta(hours=1))
    later = f"{made.key.id}.{int(now.timestamp()) + 9999}.{signature}"
    stale = vid.keys.start_session(made.key, now - timedelta(seconds=1))
    mixed = f"{other.rpartition('.')[0]}.{signature}"
    for wrong in (
        later,
        stale,
        mixed,
        f"{signed}.",
        f"{signed}.\udcff",
        "",
        "..",
        made.text,
        "x.y.z",
    ):
        with pytest.raises(AccessDenied, match="session has ended"):
            vid.keys.check_session(wrong, "10.0.0.1")
    with pytest.raises(AccessDenied):
        vid.keys.check_session(text, "11.0.0.1")
    vid.keys.remove(made.key.id)
    with pytest.raises(AccessDenied):
        vid.keys.check_session(text, "10.0.0.1")


def test_who_has_a_copy_of_the_database_can_sign_no_session(vid: VoiceID, tmp_path: Path) -> None:
    key, until = vid.keys.create("console", ["admin"]).key, datetime.now(UTC) + timedelta(hours=1)
    text = vid.keys.start_session(key, until)
    (tmp_path / "stolen").mkdir()
    vid.database.backup(tmp_path / "stolen/voiceid.sqlite3")
    with VoiceID.open(tmp_path / "stolen", home=tmp_path) as thief:
        forged = thief.keys.start_session(key, until)
        assert thief.keys.check_session(forged, "10.0.0.1") == key
    with pytest.raises(AccessDenied, match="session has ended"):
        vid.keys.check_session(forged, "10.0.0.1")
    with VoiceID.open(tmp_path / "data", home=tmp_path) as other:  # another process over the folder
        assert other.keys.check_session(text, "10.0.0.1") == key
    secret = tmp_path / "data/console.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    secret.write_bytes(b"")
    with pytest.raises(ConfigError, match="is damaged"):
        vid.keys.check_session(text, "10.0.0.1")


def test_who_signs_first_at_the_same_time_signs_by_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(signing_secret, [tmp_path / "data"] * 8))) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["console.secret"]


def test_only_so_many_requests_a_minute_are_allowed_also_by_another_process(
    vid: VoiceID, tmp_path: Path
) -> None:
    key = vid.keys.create("door", ["verify"], requests_per_minute=2).key
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    other = VoiceID.open(tmp_path / "data", home=tmp_path)
    uses = []
    for client, at in [(vid, now), (other, now), (vid, now), (other, now + timedelta(minutes=1))]:
        with client._session.store.write() as writer:
            uses.append(writer.keys.use(key, at))
    assert uses == [True, True, False, True]


def test_a_key_says_what_of_it_cannot_be(vid: VoiceID) -> None:
    for wrong, error in [
        ({"scopes": []}, ApiKeyInvalid),
        ({"scopes": ["open"]}, ApiKeyInvalid),
        ({"scopes": ["admin"], "groups": ["lobby"]}, ApiKeyInvalid),
        ({"networks": ["10.0.0.1/8"]}, ApiKeyInvalid),
        ({"groups": [""]}, SpeakerDetailInvalid),
        ({"requests_per_minute": 0}, ApiKeyInvalid),
        ({"name": "\n"}, ApiKeyInvalid),
    ]:
        with pytest.raises(error):
            vid.keys.create(**{"name": "door", "scopes": ["verify"], **wrong})
    assert not vid.keys.list()


def test_admin_may_do_everything_and_another_scope_itself_alone() -> None:
    def key(*scopes: Scope) -> ApiKey:
        return ApiKey("1", "k", scopes, (), (), None, datetime.now(UTC), None)

    assert all(key(Scope.ADMIN).allows(scope) for scope in Scope)
    assert [s for s in Scope if key(Scope.VERIFY).allows(s)] == [Scope.VERIFY]
