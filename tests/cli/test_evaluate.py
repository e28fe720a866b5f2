"""Evaluating on real speech: what is counted, what is written, and when it is not enough."""

from __future__ import annotations

import html.parser
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_running import Runner

TURNS = (
    "alice-1",
    "alice-2",
    "alice-3",
    "alice-4",
    "bob-1",
    "bob-2",
    "bob-3",
    "carol-1",
    "stranger",
)


@pytest.fixture
def people(empty_home: Path, ami) -> Path:
    """A manifest of nine recordings of four speakers, and one that is silent."""
    lines = ["speaker,path,session,condition"]
    for turn in TURNS:
        ami.cut(turn, empty_home / f"{turn}.wav")
        name, number = turn.split("-") if "-" in turn else (turn, "1")
        session = "" if turn == "stranger" else ("mon" if number in "12" else "tue")
        lines.append(f"{name},{turn}.wav,{session},{'noisy' if turn == 'alice-3' else 'clean'}")
    soundfile.write(empty_home / "silent.wav", np.zeros(48_000, np.float32), 16_000)
    lines += ["alice,silent.wav,wed,", "bob,missing.wav,wed,"]
    path = empty_home / "people.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


class Page(html.parser.HTMLParser):
    """What a page shows, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for key, value in attrs if key in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_manifest_becomes_a_report(people: Path, run: Runner) -> None:
    ran = run("evaluate", people, "-o", "report", "--json")
    assert ran.code == 0, ran.err
    report = ran.json
    assert report == json.loads(Path("report/report.json").read_text(encoding="utf-8"))
    assert (report["recordings"], report["speakers"]) == (11, 4)
    # alice: 6 pairs less 2 within a session; bob: 3 less 1.  Two recordings gave nothing.
    found = report["verification"]
    assert (found["genuine_trials"], found["impostor_trials"]) == (6, 36 - 9)
    acquired = report["acquisition"]
    assert acquired["reasons"] == {"no_speech": 1, "AudioNotFound": 1}
    assert (acquired["fta"]["errors"], acquired["fta"]["trials"]) == (2, 11)
    assert acquired["fte"]["errors"] == 2
    assert acquired["fte_reasons"] == acquired["reasons"]  # every recording is a model
    assert {one["recording"] for one in acquired["recordings"]} == {"silent.wav", "missing.wav"}
    # Of fewer than 300 strangers no false match rate can be stated.
    assert all(one["fnmr"] is None for one in found["fnmr_at_fmr"])
    assert report["identification"] is None
    assert (report["version"], report["calibration"], report["warning"]) == (2, None, None)
    assert (found["at_calibrated_thresholds"], found["llrs"]) == (None, None)
    assert found["at_shipped_thresholds"]["target_fmr"] == 0.001
    conditions = {s["label"] for s in report["slices"] if s["attribute"] == "condition"}
    assert conditions == {"clean", "clean + noisy"}


def test_a_folder_or_an_enrolment_list_is_evaluated_as_the_manifest_is(
    people: Path, run: Runner
) -> None:
    """A folder for each speaker, in it one for each session."""
    enrolment = ["name,path,label,meta.badge,session"]
    for line in people.read_text(encoding="utf-8").splitlines()[1:-1]:
        speaker, path, session, _ = line.split(",")
        folder = people.parent / "people" / speaker / session
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes((people.parent / path).read_bytes())
        enrolment.append(f"{speaker},{path},,7,{session}")
    people.with_name("enrolment.csv").write_text("\n".join(enrolment), encoding="utf-8")
    for source in ("people", "enrolment.csv"):
        found = run("evaluate", source, "-o", f"of-{source}", "--cache", "kept", "--json").json
        assert (found["recordings"], found["speakers"]) == (10, 4)
        counts = found["verification"]["genuine_trials"], found["verification"]["impostor_trials"]
        assert counts == (6, 36 - 9)
    asked = run("evaluate", "people", "-o", "r", "--cache", "kept", "--enroll-first", "2", "--json")
    assert asked.json["identification"]["gallery_size"] == 2


def test_scores_are_those_of_the_product(people: Path, run: Runner) -> None:
    assert run("evaluate", people, "-o", "report", "-q").code == 0
    lines = [line.split() for line in Path("report/scores.txt").read_text().splitlines()]
    assert len(lines) == 33
    scores = {(a, b): (float(score), label) for a, b, score, label in lines}
    for a, b in (("alice-1.wav", "alice-3.wav"), ("alice-1.wav", "bob-1.wav")):
        compared = run("compare", a, b, "--json").json
        score, label = scores[a, b]
        assert score == pytest.approx(compared["score"], abs=2e-6)
        assert label == ("target" if a[:3] == b[:3] else "nontarget")


def test_enrolled_probes_and_strangers_are_identified(
    people: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_DECISION__TARGET_FPIR", "0.05")
    ran = run("evaluate", people, "-o", "report", "--enroll-first", "2", "--json")
    assert ran.code == 0, ran.err
    found = ran.json["identification"]
    assert (found["gallery_size"], found["target_fpir"]) == (2, 0.05)
    # alice-3, alice-4, bob-3 are mated (two more gave nothing); carol and the stranger are not.
    assert (found["fnir"]["trials"], found["fpir"]["trials"]) == (3, 2)
    assert found["rank_rates"] == [1.0, 1.0]
    run("enroll", "alice", "alice-1.wav", "alice-2.wav")
    run("enroll", "bob", "bob-1.wav", "bob-2.wav")
    probes = [f"{t}.wav" for t in ("alice-3", "alice-4", "bob-3", "carol-1", "stranger")]
    named = [d["outcome"] == "accepted" for d in run("identify", *probes, "--json").json_lines]
    assert found["fnir"]["errors"] == named[:3].count(False)
    assert found["fpir"]["errors"] == named[3:].count(True)
    assert {"open_set.png", "cmc.png"} <= {path.name for path in Path("report").iterdir()}


def test_what_the_index_loses_is_added_to_the_fnir(
    people: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_INDEX__KIND", "two-stage")
    assert run("enroll", "alice", "alice-1.wav", "alice-2.wav").code == 0
    priority = os.getpriority(os.PRIO_PROCESS, 0)
    assert run("index", "seal").code == 0  # as a process in the background does, sooner or later
    assert os.getpriority(os.PRIO_PROCESS, 0) == priority, "who asks for it goes on as before"
    [status] = run("index", "status", "--json").json_lines
    assert (status["kind"], status["miss_rate"]) == ("two-stage", 0.0)
    ran = run("evaluate", people, "-o", "report", "--enroll-first", "2", "--json")
    found = ran.json["identification"]
    assert found["index_miss_rate"] == 0.0
    assert found["fnir_with_index"] == found["fnir"]["rate"]
    text = Page(Path("report/report.html").read_text(encoding="utf-8")).text
    assert "FNIR with the speakers that the index in use misses" in text
    monkeypatch.setenv("VOICEID_INDEX__KIND", "exact")
    assert run("index", "rebuild").code == 0
    ran = run("evaluate", people, "-o", "report", "--enroll-first", "2", "--json")
    assert ran.json["identification"]["index_miss_rate"] is None


def test_trials_and_models_are_read_too(people: Path, run: Runner) -> None:
    Path("trials").write_text("1 alice-1.wav alice-4.wav\n0 alice-1.wav bob-1.wav\n")
    found = run("evaluate", "trials", "-o", "report", "--json").json["verification"]
    assert (found["genuine_trials"], found["impostor_trials"]) == (1, 1)
    Path("map").write_text("a alice-1.wav alice-2.wav\nb bob-1.wav bob-2.wav\n")
    trials = [
        f"{model} {probe}.wav {'target' if probe[0] == model else 'nontarget'}"
        for model in "ab"
        for probe in ("alice-4", "bob-3", "stranger")
    ]
    Path("asked").write_text("\n".join(trials))
    report = run("evaluate", "asked", "--enrolled", "map", "-o", "report", "--json").json
    assert report["identification"]["gallery_size"] == 2
    assert report["verification"]["genuine_trials"] == 2


def test_a_second_run_hears_nothing_again(people: Path, run: Runner) -> None:
    first = run("evaluate", people, "-o", "report", "--json").json
    [kept] = Path("report/embeddings").iterdir()
    before = kept.read_bytes()
    again = run("evaluate", people, "-o", "report", "--json").json
    assert kept.read_bytes() == before
    assert again["verification"] == first["verification"]


def test_the_page_needs_nothing_else_and_shows_any_name_as_text(people: Path, run: Runner) -> None:
    strange = people.with_name("<script>alert(1)<.csv")
    people.rename(strange)
    ran = run("evaluate", strange, "-o", "report")
    assert ran.code == 0
    assert "missing.wav left out: there is no file" in ran.err
    text = Path("report/report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "<script>" not in text
    assert "<script>alert(1)<.csv" in page.text
    assert len(page.sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "AudioNotFound" not in page.text  # people get sentences
    assert "missing.wav" in page.text


def test_gates_exit_with_59_and_the_report_is_there(people: Path, run: Runner) -> None:
    assert run("evaluate", people, "-o", "report", "-q", "--max-eer", "1").code == 0
    for fmr in ("0.001", "0.1%", "1/1000"):
        missed = run("evaluate", people, "-o", "new", "--max-fnmr-at-fmr", fmr, "100%")
        assert "the FNMR at an FMR of 0.001" in missed.err
    assert (missed.code, "cannot be measured" in missed.err) == (59, True)
    assert Path("new/report.html").is_file()
    # With shuffled labels the EER is far above zero.
    Path("wrong").write_text("1 alice-1.wav bob-1.wav\n0 alice-1.wav alice-4.wav\n")
    assert run("evaluate", "wrong", "-o", "wrong-report", "--max-eer", "10%").code == 59


def test_two_reports_are_compared(people: Path, run: Runner) -> None:
    assert run("evaluate", people, "-o", "one", "-q").code == 0
    Path("trials").write_text("1 alice-1.wav alice-4.wav\n0 alice-1.wav bob-1.wav\n")
    ran = run("evaluate", "trials", "-o", "two", "--against", "one/report.json")
    assert "before" in ran.out
    assert "not the same trials: 52 before, 2 now" in ran.out
    older = json.loads(Path("one/report.json").read_text())
    older["verification"]["eer"] = 0.125
    older["embedding_space"]["id"] = "campplus-000000000000"
    Path("older.json").write_text(json.dumps(older))
    ran = run("evaluate", "trials", "-o", "two", "--against", "older.json")
    assert ["EER", "12.500", "%", "0.000", "%"] in [line.split() for line in ran.out.splitlines()]
    assert "embedding space campplus-000000000000 before" in ran.out
    for broken in ({}, {key: older[key] for key in older if key != "trials"}):
        Path("no.json").write_text(json.dumps(broken))
        assert run("evaluate", "trials", "-o", "two", "--against", "no.json").code == 56
    newer = json.loads(Path("one/report.json").read_text()) | {"version": 3}
    Path("newer.json").write_text(json.dumps(newer))
    refused = run("evaluate", "trials", "-o", "two", "--against", "newer.json")
    assert (refused.code, "version 3" in refused.err) == (56, True)


def alone(labels: Path) -> Iterator[tuple[str, str, float, float]]:
    """Yield recording, speaker, begin and end of where only one speaks, by the labels."""
    words = [line.split() for line in labels.read_text(encoding="utf-8").splitlines()]
    said = [(w[1], w[7], float(w[3]), float(w[3]) + float(w[4])) for w in words]
    for recording in {one[0] for one in said}:
        mine = [one for one in said if one[0] == recording]
        for begin, end in itertools.pairwise(sorted({t for one in mine for t in one[2:]})):
            speaking = {who for _, who, start, stop in mine if start <= begin and stop >= end}
            if len(speaking) == 1:
                yield recording, *speaking, begin, end


@pytest.fixture
def office(people: Path, ami) -> Path:
    """A manifest of clips of 1.6 s of all the meetings."""
    lines = ["speaker,path"]
    for labels in sorted(ami.folder.glob("*.rttm")):
        for recording, speaker, begin, end in sorted(alone(labels)):
            if not (ami.folder / f"{recording}.wav").is_file():
                continue  # its own name has a letter that the labels have not
            samples, rate = soundfile.read(ami.folder / f"{recording}.wav", dtype="float32")
            for second in np.arange(begin, min(end, begin + 6.4) - 1.6, 1.6):
                name = f"{recording}-{speaker}-{second:.1f}.wav"
                clip = samples[round(second * rate) : round((second + 1.6) * rate)]
                soundfile.write(people.parent / name, clip, rate)
                lines.append(f"{speaker},{name}")
    path = people.parent / "office.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_calibration_in_use_is_judged_where_it_decides(
    people: Path, office: Path, run: Runner
) -> None:
    made = run("calibrate", office, "--target-fmr", "0.05", "--cache", "kept", "--use", "--json")
    assert made.code == 0, made.err
    ran = run("evaluate", people, "-o", "report", "--cache", "kept")
    assert ran.code == 0, ran.err
    assert "calibration         1, fitted on office.csv" in ran.out
    assert "actDCF 0.05" in ran.out
    report = json.loads(Path("report/report.json").read_text(encoding="utf-8"))
    assert report["calibration"]["source"] == "office.csv"
    assert report["calibration"]["id"] == made.json["id"]
    found = report["verification"]
    assert found["at_calibrated_thresholds"]["target_fmr"] == 0.05
    assert found["at_shipped_thresholds"]["target_fmr"] == 0.001
    llrs = found["llrs"]
    assert llrs["genuine_trials"] + llrs["impostor_trials"] + llrs["not_covered"] == 33
    assert {"reliability.png", "llrs.png"} <= {path.name for path in Path("report").iterdir()}
    # What `compare` says of two of the recordings is what was judged.
    told = run("compare", "alice-1.wav", "alice-4.wav", "--json").json
    assert told["threshold_source"].startswith("calibration 1")
    page = Page(Path("report/report.html").read_text(encoding="utf-8"))
    assert "It was fitted on office.csv" in page.text
    # The same list again is no proof of anything, and it is said.
    again = run("evaluate", office, "-o", "again", "--cache", "kept", "--enroll-first", "1")
    assert "was fitted on office.csv: if it is this list" in again.err
    assert "FNIR" in again.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["missing.csv"], 56),
        (["header.csv"], 56),
        (["people.csv", "--enroll-first", "9"], 56),
        (["trials", "--enroll-first", "2"], 2),
        (["people.csv", "--enroll-first", "2", "--enrolled", "people.csv"], 2),
        (["people.csv", "--max-eer", "2"], 2),
        (["people.csv", "--max-eer", "nan"], 2),
        (["people.csv", "--max-fnmr-at-fmr", "0.1%", "-1%"], 2),
    ],
)
def test_what_cannot_be_evaluated_is_reported(
    people: Path, run: Runner, words: list[str], code: int
) -> None:
    Path("trials").write_text("1 a b\n")
    Path("header.csv").write_text("name,path\n")
    ran = run("evaluate", *words, "-o", "report")
    assert ran.code == code
    assert "hint:" in ran.err
    assert not Path("report").exists()


def test_recordings_that_give_nothing_at_all_are_reported_with_their_reasons(
    people: Path, run: Runner
) -> None:
    Path("trials").write_text("1 silent.wav missing.wav\n0 silent.wav alice-1.wav\n")
    ran = run("evaluate", "trials", "-o", "report")
    assert ran.code == 56
    assert "1 no_speech" in ran.err
    assert "1 AudioNotFound" in ran.err
