"""Jobs and kept answers, on a file and on a server."""

from __future__ import annotations

from pathlib import Path

from voiceid.domain import DatabaseUrl, JobKind, JobPicture, JobState
from voiceid.store import Store


def test_a_job_is_claimed_by_one_process_and_its_result_goes_with_an_erased_voice(
    database: Path | DatabaseUrl,
) -> None:
    store = Store.open(database)
    with store.write() as writer:
        for name in ("a", "b"):
            writer.jobs.add(name, JobKind.DIARIZE, None, {"speakers": None})
        assert writer.jobs.waiting(["a", "b", "c"]) == 2
    with store.write() as writer:
        first, second, none = (writer.jobs.claim(["a", "b"], by, 30.0) for by in "xyz")
        assert first is not None
        assert second is not None
        assert ({first.id, second.id}, none) == ({"a", "b"}, None)
        assert writer.jobs.renew(first.id, "x", 30.0, (1.0, 2.0))
        assert not writer.jobs.renew(first.id, "y", 30.0, (1.0, 2.0)), "it is not its own"
        drawn = {"det.png": JobPicture("of alice", b"png")}
        writer.jobs.finish(first, "x", JobState.DONE, ["alice"], drawn)
        assert writer.jobs.pictures(first.id) == drawn
        writer.speakers.add("alice")
        assert writer.answers.begin("key 1", "k" * 64, "r" * 64) is None
        writer.answers.keep("key 1", "k" * 64, 201, "alice")
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get("alice").id)
        writer.jobs.finish(second, "y", JobState.DONE, ["alice"], drawn)
        kept = writer.answers.begin("key 1", "k" * 64, "r" * 64)
        assert kept is not None
        assert (kept.status, kept.answer) == (201, None)
    with store.read() as reader:
        for job in reader.jobs.list():
            assert (job.state, job.result, job.is_forgotten) == (JobState.DONE, None, True)
            assert reader.jobs.pictures(job.id) == {}
    with store.write() as writer:
        assert writer.jobs.standing(["a", "b", "c"], writer.now).keys() == {"a", "b"}
        writer.jobs.expire(-1.0)
        assert writer.jobs.list() == []
    store.close()
