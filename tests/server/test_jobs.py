"""Jobs: begun with a request, worked on behind it, kept over the end of a process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from random_voices import files_holding
from running_service import Served, served
from sqlalchemy import update

from voiceid import VoiceID
from voiceid.domain import JobState, ServiceLimits, SpeakerDetails
from voiceid.server import jobs as service_jobs
from voiceid.server.jobs import Jobs
from voiceid.store.tables import api_keys, jobs


def files(clips: Path, *names: str) -> list[tuple[str, tuple[str, bytes]]]:
    """Return parts of a form: `alice/alice-3` is the recording alice-3 under that name."""
    return [
        ("audio", (f"{name}.wav", (clips / f"{Path(name).name}.wav").read_bytes()))
        for name in names
    ]


def ended(client: httpx.Client, job: dict[str, Any], state: str = "done") -> dict[str, Any]:
    """Wait until a job is over, and return it."""
    until = time.monotonic() + 180
    while True:
        found: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}").json()
        if JobState(found["state"]).is_over:
            assert found["state"] == state, found
            return found
        assert time.monotonic() < until, found
        time.sleep(0.05)


def begun(client: httpx.Client, path: str, **request: Any) -> dict[str, Any]:
    answer = client.post(path, **request)
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["state"] in {"queued", "running"}
    return job


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """No job begins before the callable is called."""
    begin = Jobs._next
    monkeypatch.setattr(Jobs, "_next", lambda self: None)
    return lambda: monkeypatch.setattr(Jobs, "_next", begin)


def test_the_answer_of_a_job_is_that_of_the_library(service: Served, clips: Path) -> None:
    with service.client() as client:
        job = begun(client, "/v1/diarize", files=files(clips, "alice-3"), data={"speakers": "1-2"})
        found = ended(client, job)
        assert [one["id"] for one in client.get("/v1/jobs").json()["jobs"]] == [job["id"]]
    expected = service.vid.diarize(clips / "alice-3.wav", speakers=(1, 2)).to_dict()
    for answer in (found["result"], expected):
        del answer["elapsed_ms"]
        for voice in answer["voices"]:
            voice["decision"].pop("elapsed_ms")
    assert found["result"] == expected
    assert found["result"]["voices"][0]["name"] == "alice"
    assert found["progress"]["done"] == pytest.approx(expected["duration_s"], abs=0.1)
    assert found["progress"]["unit"] == "s"


def test_many_people_are_enrolled_and_one_who_is_refused_stops_no_other(
    service: Served, clips: Path
) -> None:
    sent = files(clips, "carol/carol-1", "carol/carol-2", "dan/alice-3")
    with service.client() as client:
        job = ended(client, begun(client, "/v1/enrollments", files=sent, data={"groups": "lobby"}))
    assert [(one["name"], one["status"]) for one in job["result"]] == [
        ("carol", "enrolled"),
        ("dan", "refused"),
    ]
    assert [clip["name"] for clip in job["result"][0]["clips"]] == ["carol-1.wav", "carol-2.wav"]
    assert service.vid.speakers.get("carol").groups == ("lobby",)
    assert str(service.vid.database.location.parent) not in str(job)


def test_a_manifest_names_recordings_of_the_request_and_no_file_of_the_host(
    service: Served, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.wav").write_bytes((clips / "carol-2.wav").read_bytes())
    sent = files(clips, "carol-1", "carol-2")
    with service.client() as client:
        for path in ("../../../secret.wav", str(tmp_path / "secret.wav"), "none.wav"):
            listed = f"name,path\ncarol,{path}\n"
            answer = client.post("/v1/enrollments", files=sent, data={"manifest": listed})
            assert (answer.status_code, answer.json()["code"]) == (422, "ManifestInvalid")
        listed = "name,path,label\nCarol,carol-1.wav,desk\nCarol,carol-2.wav,phone\n"
        manifest = ("manifest", ("list.csv", listed.encode()))
        job = ended(client, begun(client, "/v1/enrollments", files=[*sent, manifest]))
    assert [one["status"] for one in job["result"]] == ["enrolled"]
    assert [s.label for s in service.vid.samples.list("carol")] == ["desk", "phone"]


def test_an_evaluation_counts_the_errors_on_the_recordings_of_the_request(
    service: Served, clips: Path
) -> None:
    sent = files(clips, "alice/alice-1", "alice/alice-3", "bob/bob-1", "bob/bob-3")
    with service.client() as client:
        job = ended(client, begun(client, "/v1/evaluate", files=sent, data={"source": "site"}))
    assert (job["result"]["trials"], job["result"]["source"]) == (6, "site")
    assert job["progress"] == {"done": 4.0, "total": 4.0, "unit": "recordings"}


def test_a_calibration_that_cannot_be_fitted_is_a_problem_of_its_job(
    service: Served, clips: Path
) -> None:
    sent = files(clips, "alice/alice-1", "alice/alice-3", "bob/bob-1", "bob/bob-3")
    with service.client() as client:
        job = ended(client, begun(client, "/v1/calibrate", files=sent), "failed")
    assert (job["problem"]["code"], job["problem"]["status"]) == ("FitRefused", 409)
    assert job["progress"] == {"done": 4.0, "total": 4.0, "unit": "recordings"}


@pytest.mark.parametrize(
    ("path", "names", "data", "code"),
    [
        ("/v1/diarize", ["alice-3", "bob-3"], {}, "RequestInvalid"),
        ("/v1/diarize", ["alice-3"], {"speakers": "4-2"}, "RequestInvalid"),
        ("/v1/diarize", ["alice-3"], {"speakers": "0"}, "RequestInvalid"),
        ("/v1/evaluate", ["alice/alice-3"], {}, "RequestInvalid"),
        ("/v1/evaluate", ["alice/alice-3", "bob/bob-3"], {}, "TrialsInvalid"),
        ("/v1/enrollments", ["alice-3"], {}, "ManifestInvalid"),
        ("/v1/enrollments", ["../alice-3"], {}, "ManifestInvalid"),
        ("/v1/enrollments", ["\u200b/alice-3"], {}, "SpeakerNameInvalid"),
    ],
)
def test_what_cannot_be_worked_on_is_refused_before_it_waits(
    shared: Served, clips: Path, path: str, names: list[str], data: dict[str, str], code: str
) -> None:
    with shared.client() as client:
        answer = client.post(path, files=files(clips, *names), data=data)
        assert (answer.status_code // 100, answer.json()["code"]) == (4, code)
        assert client.get("/v1/jobs").json() == {"jobs": []}
    assert not list((shared.vid.database.location.parent / "jobs").glob("*"))


def test_a_job_that_fails_has_the_problem_as_its_answer(service: Served) -> None:
    with service.client() as client:
        job = ended(client, begun(client, "/v1/diarize", content=b"no audio"), "failed")
    assert (job["result"], job["problem"]["code"]) == (None, "AudioUnreadable")
    assert job["problem"]["status"] == 422


def test_a_job_is_cancelled_while_it_waits_and_is_removed_when_it_is_over(
    gallery: VoiceID, clips: Path, slow: Callable[[], None]
) -> None:
    kept = gallery.database.location.parent / "jobs"
    with served(gallery) as running, running.client() as client:
        job = begun(client, "/v1/diarize", files=files(clips, "alice-3"))
        [file] = (kept / job["id"]).iterdir()
        assert (file.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o600, 0o700)
        gone = client.delete(f"/v1/jobs/{job['id']}").json()
        assert gone["cancelled"]["state"] == "cancelled"
        assert not list(kept.iterdir())
        removed = client.delete(f"/v1/jobs/{job['id']}").json()
        assert removed["removed"]["id"] == job["id"]
        missing = client.get(f"/v1/jobs/{job['id']}")
        assert (missing.status_code, missing.json()["code"]) == (404, "JobNotFound")


def test_a_job_that_is_worked_on_stops_and_keeps_what_is_done(
    service: Served, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = service_jobs._Run.tell

    def until_cancelled(run: Any, done: float, total: float | None) -> None:
        if done == 1:
            assert run.stop.wait(30)
        told(run, done, total)

    monkeypatch.setattr(service_jobs._Run, "tell", until_cancelled)
    sent = files(clips, "carol/carol-1", "carol/carol-2", "eve/stranger")
    with service.client() as client:
        job = begun(client, "/v1/enrollments", files=sent)
        until = time.monotonic() + 30
        while "carol" not in [s.name for s in service.vid.speakers.list()]:
            assert time.monotonic() < until
            time.sleep(0.05)
        client.delete(f"/v1/jobs/{job['id']}")
        while (found := ended(client, job, "cancelled"))["result"] is None:
            assert time.monotonic() < until
    assert [one["name"] for one in found["result"]] == ["carol"]
    assert "eve" not in [s.name for s in service.vid.speakers.list()]


def test_a_job_waits_for_the_next_process_when_its_own_ends(
    gallery: VoiceID, clips: Path, slow: Callable[[], None]
) -> None:
    with served(gallery) as running, running.client() as client:
        job = begun(client, "/v1/diarize", files=files(clips, "bob-3"))
    slow()
    with served(gallery) as running, running.client() as client:
        assert ended(client, job)["result"]["voices"][0]["name"] == "bob"
    assert not list((gallery.database.location.parent / "jobs").iterdir())


def test_the_job_of_a_process_that_was_killed_is_begun_again_by_one_other_alone(
    gallery: VoiceID, clips: Path, monkeypatch: pytest.MonkeyPatch, slow: Callable[[], None]
) -> None:
    with served(gallery) as running, running.client() as client:
        job = begun(client, "/v1/diarize", files=files(clips, "bob-3"))
    with gallery._session.store.write() as writer:  # as a process does that is killed then
        assert writer.jobs.claim([job["id"]], "killed", 1.0) is not None
        assert writer.jobs.claim([job["id"]], "other", 1.0) is None, "its lease holds"
    slow()
    with served(gallery) as running, running.client() as client:
        found = ended(client, job)
    assert found["result"]["voices"][0]["name"] == "bob"
    with gallery._session.store.read() as reader:
        kept = reader.jobs.find(job["id"])
    assert kept is not None
    assert (kept.n_starts, kept.request) == (2, {})


def test_a_damaged_job_stops_no_other_and_is_removed(
    service: Served, clips: Path, slow: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with service.client() as client:
        waits = [begun(client, "/v1/diarize", files=files(clips, "carol-1")) for _ in range(2)]
        with service.vid._session.store.write() as writer:
            changed = update(jobs).where(jobs.c.id == waits[0]["id"]).values(request="{")
            writer.connection.execute(changed)
        slow()
        ended(client, waits[1])
        assert [one["id"] for one in client.get("/v1/jobs").json()["jobs"]] == [waits[1]["id"]]
        assert client.get(f"/v1/jobs/{waits[0]['id']}").status_code == HTTPStatus.NOT_FOUND
        with service.vid._session.store.write() as writer:
            writer.connection.execute(update(jobs).values(result="{"))
            assert writer.jobs.remove_damaged() == [waits[1]["id"]]
        assert client.get("/v1/jobs").json()["jobs"] == []


def test_a_job_that_kills_its_processes_is_given_up(
    gallery: VoiceID, clips: Path, slow: Callable[[], None]
) -> None:
    with served(gallery) as running, running.client() as client:
        job = begun(client, "/v1/diarize", files=files(clips, "bob-3"))
    for _ in range(3):
        with gallery._session.store.write() as writer:
            assert writer.jobs.claim([job["id"]], "killed", -1.0) is not None
    slow()
    with served(gallery) as running, running.client() as client:
        found = ended(client, job, "failed")
    assert "3 processes that worked on this job were killed" in found["problem"]["detail"]


def test_the_recordings_go_of_a_job_that_is_cancelled_after_its_process_was_killed(
    gallery: VoiceID, clips: Path, slow: Callable[[], None]
) -> None:
    kept = gallery.database.location.parent / "jobs"
    with served(gallery) as running, running.client() as client:
        job = begun(client, "/v1/diarize", files=files(clips, "bob-3"))
        with gallery._session.store.write() as writer:
            assert writer.jobs.claim([job["id"]], "killed", 0.5) is not None
        client.delete(f"/v1/jobs/{job['id']}").raise_for_status()
        assert (kept / job["id"]).is_dir(), "its process may still read them"
    (kept / "of-a-request").mkdir()
    (kept / "of-a-killed-one").mkdir()
    os.utime(kept / "of-a-killed-one", (0, 0))
    slow()
    with served(gallery):
        until = time.monotonic() + 30
        while [path.name for path in kept.iterdir()] != ["of-a-request"]:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_so_many_jobs_wait_and_no_more(
    gallery: VoiceID, clips: Path, slow: Callable[[], None]
) -> None:
    with served(gallery, ServiceLimits(max_jobs=1)) as running, running.client() as client:
        begun(client, "/v1/diarize", files=files(clips, "bob-3"))
        refused = client.post("/v1/diarize", files=files(clips, "bob-3"))
        assert (refused.status_code, refused.json()["code"]) == (503, "ServiceBusy")
        assert int(refused.headers["retry-after"]) > 0
    assert len(list((gallery.database.location.parent / "jobs").iterdir())) == 1


def test_a_job_that_is_over_is_kept_for_a_time(service: Served, clips: Path) -> None:
    with service.client() as client:
        job = ended(client, begun(client, "/v1/diarize", files=files(clips, "bob-3")))
        with service.vid._session.store.write() as writer:
            writer.jobs.expire(3600)
        assert client.get(f"/v1/jobs/{job['id']}").status_code == HTTPStatus.OK
        with service.vid._session.store.write() as writer:
            writer.jobs.expire(-1)
        assert client.get(f"/v1/jobs/{job['id']}").status_code == HTTPStatus.NOT_FOUND


def test_a_caller_sees_its_own_jobs_and_without_read_nothing_of_others(
    service: Served, clips: Path
) -> None:
    door, other = (service.vid.keys.create(name, ["identify"]) for name in ("door", "other"))
    admin = service.vid.keys.create("admin", ["admin"])
    with service.client(door.text) as client:
        job = ended(client, begun(client, "/v1/diarize", files=files(clips, "bob-3")))
        assert job["result"]["voices"][0]["decision"] == {
            "task": "identify",
            "outcome": "accepted",
            "reason": "match",
            "speaker": {"name": "bob"},
            "group": None,
            "detail": "the voice is accepted",
        }
        assert "alice" not in str(job)
        assert client.post("/v1/evaluate").status_code == HTTPStatus.FORBIDDEN
    with service.client(other.text) as client:
        assert client.get("/v1/jobs").json() == {"jobs": []}
        for method in ("GET", "DELETE"):
            assert client.request(method, f"/v1/jobs/{job['id']}").status_code == 404
    with service.client(admin.text) as client:
        assert len(client.get("/v1/jobs").json()["jobs"]) == 1
        assert "candidates" in client.get(f"/v1/jobs/{job['id']}").text


def test_a_key_of_a_group_adds_to_its_members_alone(service: Served, clips: Path) -> None:
    service.vid.speakers.edit("alice", SpeakerDetails(groups=("lobby",)))
    key = service.vid.keys.create("k", ["enroll"], groups=["lobby"])
    with service.client(key.text) as client:
        job = begun(client, "/v1/enrollments", files=files(clips, "bob/bob-3"))
        assert ended(client, job, "failed")["problem"]["code"] == "SpeakerNotFound"
        job = begun(client, "/v1/enrollments", files=files(clips, "alice/alice-3"))
        assert ended(client, job)["result"][0]["enrolled"]
    assert len(service.vid.samples.list("bob")) == 2


def test_the_job_of_a_key_that_was_removed_is_not_worked_on(
    gallery: VoiceID, clips: Path, slow: Callable[[], None]
) -> None:
    key, admin = gallery.keys.create("k", ["enroll"]), gallery.keys.create("a", ["admin"])
    with served(gallery) as running, running.client(key.text) as client:
        job = begun(client, "/v1/enrollments", files=files(clips, "bob/bob-3"))
    gallery.keys.remove(key.key.id)
    slow()
    with served(gallery) as running, running.client(admin.text) as client:
        assert ended(client, job, "failed")["problem"]["code"] == "ApiKeyNotFound"
    assert len(gallery.samples.list("bob")) == 2


@pytest.mark.parametrize("how", ["removed", "expired"])
def test_a_job_goes_no_further_than_the_right_of_its_key(
    gallery: VoiceID, clips: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    key, admin = gallery.keys.create("k", ["enroll"]), gallery.keys.create("a", ["admin"])

    keep = service_jobs._Run.keep

    def end_of_key(run: service_jobs._Run, partial: object) -> None:
        if how == "removed":
            gallery.keys.remove(key.key.id)
        with gallery._session.store.write() as writer:
            over = update(api_keys).where(api_keys.c.id == key.key.id)
            writer.connection.execute(over.values(expires_at="2020-01-01T00:00:00+00:00"))
        keep(run, partial)

    monkeypatch.setattr(service_jobs._Run, "keep", end_of_key)
    with served(gallery) as running, running.client(key.text) as client:
        job = begun(client, "/v1/enrollments", files=files(clips, "alice/alice-3", "bob/bob-3"))
        with running.client(admin.text) as other:
            code = ended(other, job, "failed")["problem"]["code"]
    assert code == {"removed": "ApiKeyNotFound", "expired": "AccessDenied"}[how]
    assert [len(gallery.samples.list(name)) for name in ("alice", "bob")] == [3, 2]


def test_a_removed_speaker_is_in_no_result_also_of_a_job_that_was_running(
    service: Served, clips: Path
) -> None:
    with service.client() as client:
        job = ended(client, begun(client, "/v1/diarize", files=files(clips, "bob-3")))
        store = service.vid._session.store
        with store.write() as writer:  # another process works on a job meanwhile
            writer.jobs.add("running", service_jobs.JobKind.DIARIZE, None, {})
            running = writer.jobs.claim(["running"], "other", 30.0)
        client.delete("/v1/speakers/bob").raise_for_status()
        with store.write() as writer:
            writer.jobs.finish(running, "other", JobState.DONE, {"voices": ["bob-removed"]}, {})
        for job_id in (job["id"], "running"):
            found = client.get(f"/v1/jobs/{job_id}").json()
            assert (found["state"], found["result"], found["is_forgotten"]) == ("done", None, True)
    service.vid.close()
    data = Path(str(service.vid.database.location)).parent
    for path in data.rglob("*"):
        assert path.is_dir() or not {b"bob-3", b'"bob"', b"bob-removed"} & set(_words(path)), path


def _words(path: Path) -> list[bytes]:
    held = path.read_bytes()
    return [word for word in (b"bob-3", b'"bob"', b"bob-removed") if word in held]


def test_recordings_that_wait_are_sealed_in_a_sealed_gallery(
    gallery: VoiceID, clips: Path, slow: Callable[[], None]
) -> None:
    gallery.keys.gallery.init()
    data = gallery.database.location.parent
    manifest = ("manifest", ("list.csv", b"name,path\nCarol Secret,c1.wav\nCarol Secret,c2.wav\n"))
    both = [(f"c{i}.wav", (clips / f"carol-{i}.wav").read_bytes()) for i in (1, 2)]
    pieces = [content[i : i + 64] for _, content in both for i in (0, 5000, len(content) - 64)]
    known = files(clips, "alice/alice-1", "alice/alice-3", "bob/bob-1")
    with served(gallery) as service, service.client() as client:
        enrolled = [("audio", one) for one in both]
        jobs = [
            begun(client, "/v1/enrollments", files=[*enrolled, manifest]),
            begun(client, "/v1/evaluate", files=known, data={"source": "site"}),
            begun(client, "/v1/diarize", files=files(clips, "alice-3")),
        ]
        searched = [*pieces, b"carol secret", b"Carol Secret", b'"alice"', b"WAVEfmt "]
        assert len(list((data / "jobs").rglob("*.wav"))) == 6
        assert files_holding(data, searched) == set()
        slow()
        enrolment, evaluation, diarized = (ended(client, job) for job in jobs)
        assert files_holding(data, searched) == set()
    assert [one["status"] for one in enrolment["result"]] == ["enrolled"]
    assert (evaluation["result"]["trials"], evaluation["progress"]["done"]) == (3, 3.0)
    assert diarized["result"]["voices"][0]["name"] == "alice"
    assert list((data / "jobs").iterdir()) == []
    assert gallery.speakers.get("carol secret").n_samples == 2


@pytest.mark.parametrize("sealed", [False, True])
def test_a_fault_of_the_program_is_logged_and_in_a_sealed_gallery_without_its_message(
    gallery: VoiceID,
    clips: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    sealed: bool,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("alice/secret.wav has no end")

    if sealed:
        gallery.keys.gallery.init()
    monkeypatch.setattr(service_jobs, "work", fail)
    with served(gallery) as service, service.client() as client:
        job = begun(client, "/v1/diarize", files=files(clips, "alice-3"))
        failed = ended(client, job, "failed")
    assert failed["problem"]["code"] == "JobFailed"
    assert f"job {job['id']}: RuntimeError" in caplog.text
    assert ("secret" in caplog.text) is not sealed
