"""Names of every kind through their whole life: one speaker each, or a clear refusal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_running import Runner
from torture.voices import fill, new_clips, opened

from voiceid import EmbeddedClip

NAMES = {
    "path": "../../etc/passwd",
    "absolute": "/dev/null",
    "windows": "C:\\con\\nul",
    "sql": "Robert'); DROP TABLE speakers;--",
    "quotes": "\"'`",
    "wildcards": "%_*?[a]",
    "option": "--yes",
    "format": "%s{0}{name}$HOME`id`",
    "html": "<script>alert(1)</script>&amp;",
    "formula": "=1+2|cmd",
    "hebrew": "שלום",
    "arabic": "محمد بن سلمان",
    "thai": "สมชาย",
    "combined": "Zoe\u0308",
    "emoji": "🚀👩🏽",
    "astral": "\U0001d504\U0001d529",
    "sharp s": "Straße",
    "dotless": "I\u0131\u0130i",
    "number": "0",
    "json": '{"name": null}',
    "null": "null",
    "longest": "x" * 128,
    "comma": "Bob, Jr.; \t(the second)".replace("\t", ""),
}
REFUSED = {
    "empty": "",
    "spaces": " \u2003 ",
    "ten kilobytes": "x" * 10_000,
    "newline": "a\nb",
    "null byte": "a\0b",
    "escape": "a\x1b[2Jb",
    "right to left": "abc\u202egnp.exe",
    "surrogate": "a\ud800",
    "joiner": "a\u200db",
    "separator": "a\u2028b",
    "hangul filler": "a\u3164",
    "hangul filler alone": "\u115f",
    "blank braille": "\u2800",
    "variation": "a\ufe0fb",
    "more variation": "a\U000e0101",
    "joined graphemes": "a\u034fb",
}
SAME = [
    ("Alice", "ALICE"),
    ("Zoe\u0308", "zoë"),
    ("STRASSE", "straße"),
    ("ﬁne", "fine"),
    (" Bob", "bob "),
    ("Å", "\u212b"),
]


def enrolled(home: Path, name: str, number: int) -> None:
    fill(None, None, home / "data", {name: new_clips(np.random.default_rng(number), 2)})


def test_names_of_every_kind_live_as_any_other(empty_home: Path, run: Runner) -> None:
    clips = {name: new_clips(np.random.default_rng(n), 2) for n, name in enumerate(NAMES.values())}
    fill(None, None, empty_home / "data", clips)

    def done(*words: str) -> list[dict[str, object]]:
        ran = run("--json", *words)
        assert ran.code == 0, (words, ran.err)
        return ran.json_lines

    kept = {str(one["name"]) for one in done("speakers", "list")}
    assert len(kept) == len(NAMES)
    assert run("speakers", "export", "gallery.jsonl").code == 0
    lines = [json.loads(line) for line in Path("gallery.jsonl").read_bytes().splitlines()]
    assert {one["speaker"]["name"] for one in lines if "speaker" in one} == kept
    for number, name in enumerate(NAMES.values()):
        assert len(done("samples", "list", "--", name)) == 2, name
        done("speakers", "rename", "--", name, "other")
        done("speakers", "rename", "--", "other", name)
        assert run("speakers", "inspect", "--", name).code == 0, name
        assert run("speakers", "export", f"{number}.jsonl", "--", name).code == 0, name
        done("speakers", "remove", "--yes", "--", name)
    assert done("speakers", "list") == []
    assert run("speakers", "import", "gallery.jsonl").code == 0
    assert {str(one["name"]) for one in done("speakers", "list")} == kept
    assert run("database", "check").code == 0
    around = {path.name for path in empty_home.parent.rglob("*")}
    assert not around & {"passwd", "con", "nul", "id"}
    with opened(empty_home / "data") as vid:
        for name in NAMES.values():
            clip = EmbeddedClip(vid.samples.list(name)[0].vector, vid.models.space)
            [best] = vid.search(clip, k=1)
            assert best.speaker.id == vid.speakers.get(name).id


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_shown_is_no_name(kind: str, home: Path, run: Runner) -> None:
    name = REFUSED[kind]
    ran = run("speakers", "rename", "--", "alice", name)
    assert ran.code == 43, ran
    assert len(ran.err) < 1000
    assert "\x1b" not in ran.err
    assert {one["name"] for one in run("speakers", "list", "--json").json_lines} == {"alice", "bob"}
    for command in (["verify", "--", name, "x.wav"], ["speakers", "remove", "--yes", "--", name]):
        assert run(*command).code in {23, 43}, command


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_ways_to_write_a_name_are_one(
    one: str, other: str, empty_home: Path, run: Runner
) -> None:
    enrolled(empty_home, one, 1)
    enrolled(empty_home, "somebody", 2)
    taken = run("speakers", "rename", "somebody", other)
    assert taken.code == 42, taken
    assert run("samples", "list", other).code == 0
    assert run("speakers", "remove", "--yes", other).code == 0


def test_a_report_and_pictures_show_names_as_text(
    empty_home: Path, ami, run: Runner, tmp_path: Path
) -> None:
    strange = ["<script>alert(1)</script>", "../../etc/passwd", "שלום", "$x_{1}$ \\frac"]
    lines = []
    for number, name in enumerate(strange):
        for turn in (f"alice-{number + 1}",):
            ami.cut(turn, empty_home / f"{turn}.wav")
            lines.append(json.dumps({"speaker": name, "path": f"{turn}.wav"}))
    ami.cut("bob-1", empty_home / "bob.wav")
    lines.append(json.dumps({"speaker": strange[0], "path": "bob.wav"}))
    (empty_home / "people.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert run("evaluate", "people.jsonl", "--output", "report").code == 0
    page = (empty_home / "report" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    for number, name in enumerate(strange):
        enrolled(empty_home, name, number)
    drawn = run("plot", "speakers", "--output", "voices.html")
    assert drawn.code == 0, drawn.err
    assert "<script>alert" not in Path("voices.html").read_text(encoding="utf-8")
