"""Who asks is known by the connection, and the groups of a key are all that it reaches."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from voiceid import AccessDenied, VoiceID
from voiceid.domain import ApiKey, Scope
from voiceid.server.callers import Caller, require_local, require_still_known
from voiceid.server.problems import Problem


def caller(*groups: str) -> Caller:
    key = ApiKey("1", "k", (Scope.IDENTIFY,), groups, (), None, datetime.now(UTC), None)
    return Caller(key, "10.0.0.1")


@pytest.mark.parametrize(
    ("address", "is_answered"),
    [
        *(("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True)),
        *(("10.0.0.1", False), ("::ffff:10.0.0.1", False), ("", False), ("testclient", False)),
    ],
)
def test_without_a_key_this_host_alone_is_answered(address: str, *, is_answered: bool) -> None:
    headers = [(b"host", b"localhost:8000")]
    connection = HTTPConnection({"type": "http", "headers": headers})
    if is_answered:
        require_local(connection, address)
    else:
        with pytest.raises(Problem, match="the request comes from another host"):
            require_local(connection, address)


def test_a_key_of_several_groups_names_one_and_a_key_of_one_need_not() -> None:
    assert caller().group(None) is None
    assert caller("lobby").group(None) == "lobby"
    assert caller("lobby", "vault").group("Vault") == "vault"
    for key, group in ((caller("lobby", "vault"), None), (caller("lobby"), "vault")):
        with pytest.raises(Problem, match="only reaches these groups: lobby"):
            key.group(group)


def test_who_is_served_without_a_key_is_answered_until_there_is_one(tmp_path: Path) -> None:
    with VoiceID.open(tmp_path / "data", home=tmp_path) as vid:
        local = Caller(None, "127.0.0.1")
        require_still_known(local, vid)
        vid.keys.create("door", ["verify"])
        with pytest.raises(AccessDenied, match="a key is required now"):
            require_still_known(local, vid)
