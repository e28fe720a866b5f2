"""Spoken codes over HTTP: words are taught, a code is asked for, and its answer is judged."""

from __future__ import annotations

import random
import secrets
from pathlib import Path

import numpy as np
import pytest
from running_service import Served
from spoken_words import ROUNDS, WORDS, pieces, said, wav
from test_live_socket import PCM, RATE, listening, rest, until

from voiceid.domain import Float32Array, Scope


def test_a_code_is_asked_for_and_answered_with_one_key(
    service: Served, ami, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "choice", random.Random(4).choice)  # some cut words are refused
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
        codes = {**PCM, "challenge": True}
        with listening(service, codes, key=admin.text) as client:
            client.send(sound(ami.samples("alice-4")))
            code = until(client, "challenge")[-1]["challenge"]
            assert (code["speaker"], set(code["words"]) <= set(WORDS)) == ("alice", True)
            client.send(sound(said([words[WORDS.index(one)] for one in code["words"]], 3)[0]))
            decided = until(client, "decision")[-1]["decision"]
            assert decided["task"] == "verify"
            assert decided["outcome"] == "accepted", decided
        with listening(service, codes, key=door.text) as client:
            assert rest(client)[1] == 1008, "the key may not identify"
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


def sound(samples: Float32Array) -> bytes:
    """Return what a client sends of a turn, which ends with silence."""
    quiet = np.random.default_rng(0).normal(0, 1e-4, 2 * RATE)
    return (np.concatenate([samples, quiet]) * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("length", [3, 9])
def test_a_code_has_four_to_eight_words(shared: Served, length: int) -> None:
    with shared.client() as client:
        asked = client.post("/v1/challenges", json={"speaker": "alice", "length": length})
    assert asked.status_code == 422
