"""The description of the service is that of what it answers.

`WRITE_EXAMPLES=1 pytest tests/server/test_openapi.py` writes the examples again.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
import soundfile
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_voices import fitted
from running_service import served
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks
from spoken_words import ROUNDS, WORDS, pieces, said, wav

from voiceid import VoiceID
from voiceid.domain import JobState
from voiceid.server import descriptions
from voiceid.server.descriptions import schema_of

EXAMPLES = Path(descriptions.__file__).with_name("examples.json")
_MOST_ITEMS = 3
"""Of a list in an example: an embedding has 192."""

Answers = dict[str, dict[str, Any]]


class Recorder:
    """Asks a service, and notes each request in JSON, and each answer, by operation."""

    def __init__(self, client: httpx.Client, clips: Path) -> None:
        self._client, self._clips = client, clips
        self.noted: Answers = {}

    def ask(self, operation: str, method: str, path: str, **request: Any) -> Any:
        answer = self._client.request(method, path, **request)
        assert answer.is_success, (operation, answer.text)
        noted = self.noted.setdefault(operation, {"answers": {}})
        if "json" in request:
            noted["request"] = request["json"]
        facts = answer.json()
        noted["answers"].setdefault(str(answer.status_code), []).append(_cut(facts))
        return facts

    def hear(self, operation: str, path: str, *names: str, **request: Any) -> Any:
        files = [
            ("audio", (f"{n}.wav", (self._clips / f"{Path(n).name}.wav").read_bytes()))
            for n in names
        ]
        method = request.pop("method", "POST")
        return self.ask(operation, method, path, files=files, **request)

    def job(self, operation: str, path: str, *names: str) -> None:
        job = self.hear(operation, path, *names)
        until = time.monotonic() + 60
        while not JobState(self._client.get(f"/v1/jobs/{job['id']}").json()["state"]).is_over:
            assert time.monotonic() < until
            time.sleep(0.05)
        self.ask("show_job", "GET", f"/v1/jobs/{job['id']}")
        if operation != "diarize":
            self.ask("end_job", "DELETE", f"/v1/jobs/{job['id']}")


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cut(held) for key, held in value.items()}
    return [_cut(held) for held in value[:_MOST_ITEMS]] if isinstance(value, list) else value


def record(client: httpx.Client, clips: Path, vid: VoiceID) -> Answers:  # noqa: PLR0915 - of all
    """Ask for everything there is."""
    to = Recorder(client, clips)
    until = time.monotonic() + 60
    while client.get("/readyz").status_code != 200 and time.monotonic() < until:
        time.sleep(0.1)
    to.ask("healthz", "GET", "/healthz")
    to.ask("readyz", "GET", "/readyz")
    for name, claimed in (("bob-3", "bob"), ("stranger", "alice")):
        to.hear("identify", "/v1/identify", name)
        to.hear("verify", "/v1/verify", name, data={"speaker": claimed})
    [_, caller] = to.ask("list_attempts", "GET", "/v1/attempts")["attempts"]
    to.ask("unlock", "DELETE", "/v1/attempts/speakers/alice")
    to.ask("unlock_caller", "DELETE", f"/v1/attempts/callers/{caller['caller']}")
    to.hear("compare", "/v1/compare", "alice-3", "bob-3")
    to.hear("embed", "/v1/embed", "alice-3")
    to.hear("enroll", "/v1/speakers/carol/samples", "carol-1", "carol-2", data={"dry_run": "true"})
    to.hear("enroll", "/v1/speakers/alice/samples", "alice-3", data={"groups": "lobby"})
    to.hear("replace", "/v1/speakers/bob/samples", "bob-2", "bob-3", method="PUT")
    edit = {"groups": ["lobby"], "metadata": {"badge": "7"}, "expires": "90d"}
    to.ask("edit_speaker", "PATCH", "/v1/speakers/bob", json=edit)
    to.ask("list_speakers", "GET", "/v1/speakers?limit=1")
    to.ask("list_speakers", "GET", "/v1/speakers")
    to.ask("show_speaker", "GET", "/v1/speakers/bob")
    to.ask("inspect_speaker", "GET", "/v1/speakers/alice/inspection")
    [first, *_] = to.ask("list_samples", "GET", "/v1/speakers/alice/samples")["samples"]
    to.ask("remove_sample", "DELETE", f"/v1/speakers/alice/samples/{first['id']}")
    _ask_for_codes(to, client, clips)
    to.job("diarize", "/v1/diarize", "bob-3")
    to.job("evaluate", "/v1/evaluate", "alice/alice-1", "alice/alice-3", "bob/bob-1", "bob/bob-3")
    to.job("calibrate", "/v1/calibrate", "alice/alice-1", "alice/alice-3", "bob/bob-1", "bob/bob-3")
    to.job("enroll_many", "/v1/enrollments", "dora/carol-1", "dora/carol-2")
    to.ask("list_jobs", "GET", "/v1/jobs")
    _move(to, client, "/v1/speakers/dora")
    to.ask("remove_speaker", "DELETE", "/v1/speakers/dora")
    to.ask("list_groups", "GET", "/v1/groups")
    number = fitted(vid)
    to.ask("show_calibration", "GET", f"/v1/calibrations/{number}")
    for kind in ("calibration", "adaptation"):
        to.ask(f"list_{kind}s", "GET", f"/v1/{kind}s")
        for chosen in (None, number):
            to.ask(f"use_{kind}", "PUT", f"/v1/{kind}s/in_use", json={"id": chosen})
        client.put(f"/v1/{kind}s/in_use", json={"id": None}).raise_for_status()
        to.ask(f"remove_{kind}", "DELETE", f"/v1/{kind}s/{number}")
    to.ask("database_status", "GET", "/v1/database")
    to.ask("check_database", "GET", "/v1/database/check")
    to.ask("index_status", "GET", "/v1/index")
    to.ask("rebuild_index", "POST", "/v1/index/rebuild")
    to.ask("list_models", "GET", "/v1/models")
    for name in ("stats", "health"):
        to.ask(name, "GET", f"/v1/{name}")
    new = {"name": "door", "scopes": ["identify", "verify"], "groups": ["lobby"], "expires": "90d"}
    key = to.ask("create_key", "POST", "/v1/keys", json=new)
    to.ask("list_keys", "GET", "/v1/keys")
    _ask_for_events(to, client)
    to.ask("remove_key", "DELETE", f"/v1/keys/{key['id']}")
    return to.noted


def _move(to: Recorder, client: httpx.Client, dora: str) -> None:
    """Give a sample of a speaker to another and back, and take the speaker out and in again."""
    [moved, _] = client.get(f"{dora}/samples").json()["samples"]
    for dry_run in (True, False):
        split = {"new_name": "erin", "samples": [moved["id"]], "dry_run": dry_run}
        to.ask("split_speaker", "POST", f"{dora}/split", json=split)
    for dry_run in (True, False):
        merge = {"other": "erin", "dry_run": dry_run}
        to.ask("merge_speakers", "POST", f"{dora}/merge", json=merge)
    exported = client.get("/v1/export", params={"name": "dora"}).content
    to.ask("erase_person", "POST", f"{dora}/erasure")
    to.ask("import_speakers", "POST", "/v1/import", files={"file": ("dora.jsonl", exported)})
    to.ask("withdraw_consent", "POST", f"{dora}/withdrawal")
    to.ask("report_person", "GET", f"{dora}/report")


def _ask_for_codes(to: Recorder, client: httpx.Client, clips: Path) -> None:
    """Teach the words of alice, ask for a code of them, and forget them."""
    words = pieces(soundfile.read(clips / "alice-2.wav", dtype="float32")[0])
    files = [("audio", (f"{take}.wav", wav(*said(words, take)))) for take in range(ROUNDS)]
    forced = client.post("/v1/speakers/alice/samples", files=files, data={"force": "true"})
    assert forced.is_success, forced.text
    path, data = "/v1/challenges/words/alice", {"words": list(WORDS)}
    to.ask("enroll_words", "PUT", path, files=files, data=data)
    to.ask("ask_for_code", "POST", "/v1/challenges", json={"speaker": "alice"})
    to.ask("forget_words", "DELETE", path)


def _ask_for_events(to: Recorder, client: httpx.Client) -> None:
    """Ask for events of no speaker, of one, and of one who was erased."""
    enrolled = client.get("/v1/audit?kind=enroll").json()["events"]
    [erased] = [event["number"] for event in enrolled if event["erased"]]
    for chosen in ("kind=create_key", "kind=edit", f"kind=enroll&after={erased - 1}"):
        to.ask("list_audit", "GET", f"/v1/audit?{chosen}")


class Api:
    """A service that was asked for everything, its description, and an admin's key to it."""

    def __init__(self, url: str, key: str, noted: Answers) -> None:
        self.url, self.noted = url, noted
        self.headers = {"Authorization": f"Bearer {key}"}
        self.document = httpx.get(f"{url}/openapi.json", trust_env=False).json()
        self.schema = schemathesis.openapi.from_dict(self.document)
        self.session = requests.Session()
        self.session.trust_env = False

    def operations(self) -> dict[str, dict[str, Any]]:
        paths = self.document["paths"].values()
        return {one["operationId"]: one for methods in paths for one in methods.values()}


@pytest.fixture(scope="module")
def api(
    enrolled_data: Path, models_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    home = tmp_path_factory.mktemp("described")
    shutil.copytree(enrolled_data, home / "data")
    overrides = {"models": str(models_folder), "offline": True}
    with VoiceID.open(home / "data", home=home, overrides=overrides) as vid, served(vid) as running:
        key = vid.keys.create("console", ["admin"]).text
        with running.client(key) as client:
            noted = record(client, enrolled_data.parent, vid)
        if os.environ.get("WRITE_EXAMPLES"):
            text = json.dumps(noted, indent=1, ensure_ascii=False)
            EXAMPLES.write_text(text.replace(str(home), "/srv/voiceid") + "\n")
            descriptions.examples.cache_clear()
        found = Api(running.url, key, noted)
        yield found
        found.session.close()


def test_the_examples_have_the_fields_of_the_answers_of_today(api: Api) -> None:
    shown = descriptions.examples()
    assert shown.keys() == api.noted.keys()
    for operation, noted in api.noted.items():
        of_today = {s: schema_of(answers) for s, answers in noted["answers"].items()}
        of_example = {s: schema_of(a) for s, a in shown[operation]["answers"].items()}
        assert of_today == of_example, f"{operation}: see the top of this module"


def test_every_operation_says_what_it_takes_and_answers(api: Api) -> None:
    operations = api.operations()
    assert operations.keys() - descriptions.examples().keys() == {"metrics", "export_speakers"}
    for name, operation in operations.items():
        assert operation["description"], name
        assert operation["responses"].keys() >= {"default"}, name
        good = [r for status, r in operation["responses"].items() if status[0] == "2"]
        for response in good:
            for media_type, content in response["content"].items():
                shown = media_type == "text/plain" or content["examples"]
                assert shown, name
        for parameter in operation.get("parameters", []):
            described = parameter.get("description") or parameter["in"] == "path"
            assert described, (name, parameter)
    for name in ("identify", "verify", "compare", "embed", "enroll", "replace", "diarize"):
        ways = operations[name]["requestBody"]["content"].keys()
        assert ways == {
            "multipart/form-data",
            "application/json",
            "application/octet-stream",
            "audio/*",
        }


_NOT_FUZZED = {"readyz", "healthz", "health"}
"""They take nothing, and the last of them takes a second of a processor."""
_FUZZED = sorted({*descriptions.examples(), "metrics", "export_speakers"} - _NOT_FUZZED)


@pytest.mark.parametrize("operation", _FUZZED)
def test_what_it_answers_to_anything_is_what_it_describes(api: Api, operation: str) -> None:
    described = api.schema.find_operation_by_id(operation)
    takes = {"parameters", "requestBody"} & api.operations()[operation].keys()
    anything = st.one_of(
        described.as_strategy(generation_mode=GenerationMode.POSITIVE),
        described.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @settings(
        max_examples=6 if takes else 1,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=anything)
    def ask(case: schemathesis.Case) -> None:
        answer = case.call(base_url=api.url, session=api.session, headers=api.headers)
        assert answer.status_code < 500, answer.content
        case.validate_response(answer, checks=_CHECKS)

    ask()


_CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
