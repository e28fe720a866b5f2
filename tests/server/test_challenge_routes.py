"""Spoken codes over HTTP: words are taught, a code is asked for, and its answer is judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from running_service import Served
from spoken_words import ROUNDS, WORDS, pieces, said, wav

from voiceid.domain import Scope


def test_a_code_is_asked_for_and_answered_with_one_key(service: Served, ami, clips: Path) -> None:
    words = pieces(ami.samples("alice-2"))
    rounds = [("audio", (f"{i}.wav", wav(*said(words, i)))) for i in range(ROUNDS)]
    files = [clip for _, (_, clip) in rounds]
    service.vid.enroll("alice", files, force=True)
    door = service.vid.keys.create("door", [Scope.VERIFY])
    admin = service.vid.keys.create("admin", list(Scope))
    with service.client(door.text) as at_door, service.client(admin.text) as by_admin:
        assert at_door.put("/v1/challenges/words/alice", files=rounds).status_code == 403
        refused = by_admin.post("/v1/challenges", json={"speaker": "alice"})
        assert (refused.status_code, refused.json()["code"]) == (409, "ChangeRefused")
        taught = by_admin.put(
            "/v1/challenges/words/alice", files=rounds, data={"words": list(WORDS)}
        )
        assert taught.json() == {"speaker": "alice", "words": list(WORDS), "rounds": ROUNDS}
        asked = by_admin.post("/v1/challenges", json={"speaker": "alice", "length": 4}).json()
        assert len(asked["words"]) == 4
        talk = (clips / "alice-4.wav").read_bytes()
        for expected in ("challenge_failed", "challenge_expired"):
            query = {"speaker": "alice", "challenge": asked["id"]}
            answer = by_admin.post("/v1/verify", content=talk, params=query)
            assert answer.json()["reason"] == expected, answer.text
        blind = [at_door.post("/v1/challenges", json={"speaker": n}).json() for n in ("alice", "x")]
        assert all(set(one["words"]) <= set(WORDS) for one in blind)
        query = {"speaker": "alice", "challenge": blind[0]["id"]}
        shut = at_door.post("/v1/verify", content=talk, params=query).json()
        assert (shut["outcome"], shut["reason"]) == ("rejected", None), "it may learn no more"
        assert by_admin.delete("/v1/challenges/words/alice").json() == {"forgotten": "alice"}


@pytest.mark.parametrize("length", [3, 9])
def test_a_code_has_four_to_eight_words(shared: Served, length: int) -> None:
    with shared.client() as client:
        asked = client.post("/v1/challenges", json={"speaker": "alice", "length": length})
    assert asked.status_code == 422
