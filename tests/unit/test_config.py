"""Where each setting comes from, and that a misspelt one is never passed over."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from voiceid import shipped
from voiceid.config import find_home, load_config
from voiceid.decision.aims import Aim, SetThreshold
from voiceid.errors import ConfigError
from voiceid.index.base import IndexOptions
from voiceid.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("decision: {target_fmr: 0.1, margin: 0.1}\nmodel: ge2e\n")
    environ = {"VOICEID_DECISION__TARGET_FMR": "0.2", "VOICEID_MODEL": "campplus"}
    config = load_config(tmp_path, {"decision.target_fmr": 0.3}, environ)
    assert (config.aim.target_fmr, config.model, config.aim.margin) == (0.3, "campplus", 0.1)
    assert config.index == IndexOptions("auto", 0.001)
    assert config.sources["decision.target_fmr"] == "flag"
    assert config.sources["model"] == "VOICEID_MODEL"
    assert config.sources["decision.margin"] == str(tmp_path / "config.yaml")
    assert config.sources["index.kind"] == "default"


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("decision: {target_frm: 0.5, margin: -1}\noffline: 1\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {"runtime.threads": 0}, {"VOICEID_MODELL": "x"})
    message = caught.value.message
    assert "did you mean decision.target_fmr?" in message
    for key in ("decision.margin", "offline", "modell", "runtime.threads", "VOICEID_MODELL"):
        assert key in message


@pytest.mark.parametrize(
    "text",
    [
        "decision: {threshold: 0.9}\ndecision: {solo: warn}",
        "decision: {threshold: 0.9, threshold: 0.5}",
        "decision.threshold: 0.9\ndecision: {threshold: 0.5}",
        "decision: {threshold: {2: 0.6, 2.0: 0.5}}",
        "groups: {a: {threshold: 0.9}, 'a ': {threshold: 0.5}}",
    ],
)
def test_what_is_set_twice_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match="set twice"):
        load_config(tmp_path, {}, {})


@pytest.mark.parametrize("value", ["nan", ".nan", ".inf", "1.5", "high", "true", "[]"])
def test_a_target_that_is_no_rate_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="target_fmr"):
        load_config(tmp_path, {}, {"VOICEID_DECISION__TARGET_FMR": value})


@pytest.mark.parametrize(
    "text", ["a: [", "- 1", "\x00", "model: {x: 1}", "decision: 5", 'data: "a\\0"']
)
def test_a_damaged_file_is_an_error_not_a_default(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load_config(tmp_path, {}, {})


def test_providers_are_a_list_of_known_names(tmp_path: Path) -> None:
    config = load_config(tmp_path, {}, {"VOICEID_RUNTIME__PROVIDERS": "[cuda, cpu]"})
    assert config.runtime.providers == ("cuda", "cpu")
    for value, said in (("cuda", "not a list"), ("[]", "not a list"), ("[gpu]", "'gpu' is not")):
        with pytest.raises(ConfigError, match=said):
            load_config(tmp_path, {}, {"VOICEID_RUNTIME__PROVIDERS": value})


def test_the_shipped_file_shows_every_setting_with_its_default(tmp_path: Path) -> None:
    shown = yaml.safe_load((ROOT / "config.yaml").read_text())
    flat = {
        f"{k}.{i}" if isinstance(v, dict) and v else k: w
        for k, v in shown.items()
        for i, w in (v.items() if isinstance(v, dict) and v else [(k, v)])
    }
    assert flat == {key: default for key, (default, _) in SETTINGS.items()}


@pytest.mark.parametrize("written", ["0.005", "1/200", "0.5%", '"1/200"'])
def test_a_rate_may_be_written_in_three_ways(tmp_path: Path, written: str) -> None:
    (tmp_path / "config.yaml").write_text(f"decision: {{target_fpir: {written}}}\n")
    assert load_config(tmp_path, {}, {}).aim == Aim(target_fpir=0.005)
    environ = {"VOICEID_DECISION__TARGET_FMR": written.strip('"')}
    assert load_config(tmp_path / "none", {}, environ).aim == Aim(target_fmr=0.005)


def test_a_threshold_is_set_for_all_and_a_policy_for_each_group(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "decision: {threshold: {4: 0.5, 2: 0.6}}\n"
        "groups: {Vault: {target_fmr: 1/10000, margin: 0.1}, lobby: {threshold: 0.5}}\n"
    )
    config = load_config(tmp_path, {}, {})
    assert config.aim.threshold == SetThreshold(((2.0, 0.6), (4.0, 0.5)), "the settings")
    assert config.groups == {
        "vault": Aim(target_fmr=0.0001, margin=0.1),
        "lobby": Aim(threshold=SetThreshold(((0.0, 0.5),), "group lobby")),
    }


@pytest.mark.parametrize(
    "written",
    [
        "decision: {threshold: 1.5}",
        "decision: {threshold: high}",
        "decision: {threshold: {2: 0.6, -1: 0.5}}",
        "decision: {threshold: 0.5, target_fmr: 0.01}",
        "groups: vault",
        "groups: {vault: 0.5}",
        "groups: {vault: {target_frm: 0.01}}",
        "groups: {vault: {threshold: 0.5, target_fmr: 0.01}}",
        'groups: {"": {threshold: 0.5}}',
    ],
)
def test_what_cannot_decide_is_refused(tmp_path: Path, written: str) -> None:
    (tmp_path / "config.yaml").write_text(written)
    with pytest.raises(ConfigError, match=r"threshold|groups|target_fmr"):
        load_config(tmp_path, {}, {})


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    assert load_config(tmp_path, {}, {}).model == "campplus"


def test_paths_in_the_file_start_from_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    config = load_config(tmp_path, {}, {"VOICEID_DATA": "here"})
    assert config.data == tmp_path / "here"
    assert config.models == tmp_path / "models"


def test_a_path_on_the_command_line_starts_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config("/elsewhere", {"data": "here"}, {}).data == tmp_path / "here"


@pytest.fixture
def unnamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a config.yaml that someone put there; no home is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOICEID_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    (tmp_path / "config.yaml").write_text("decision: {threshold: 0.1}\n")
    return tmp_path


def test_the_home_is_the_one_that_is_named_else_the_users(
    unnamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_home() == unnamed / "xdg" / "voiceid"
    assert find_home(".") == unnamed
    monkeypatch.setenv("VOICEID_HOME", "/named")
    assert find_home() == Path("/named")
    assert find_home(".") == unnamed


def test_a_config_that_is_merely_in_the_current_folder_is_named_and_not_read(
    unnamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(None, {}, {})
    assert config.aim == Aim()
    assert config.unread_file == unnamed / "config.yaml"
    assert load_config(".").unread_file is None
    assert load_config(".").aim != Aim()
    monkeypatch.setenv("VOICEID_HOME", "/named")
    assert load_config(None, {}, {}).unread_file is None


def test_the_checkout_that_runs_is_the_home_of_those_who_work_in_it(
    unnamed: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    assert find_home() == repo
    monkeypatch.chdir(repo / "docs")
    assert find_home() == repo
    # A folder that looks like one is none: the program that runs is not there.
    shutil.copytree(repo / "migrations", unnamed / "migrations")
    (unnamed / "models").mkdir()
    (unnamed / "voiceid").mkdir()
    (unnamed / "pyproject.toml").touch()
    monkeypatch.chdir(unnamed)
    assert find_home() == unnamed / "xdg" / "voiceid"


def test_an_installed_program_has_no_checkout(
    unnamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "__file__", str(unnamed / "voiceid" / "shipped.py"))
    assert find_home() == unnamed / "xdg" / "voiceid"


def test_a_user_without_a_home_folder_must_name_one(
    unnamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)  # no such user
    with pytest.raises(ConfigError, match="no home") as caught:
        load_config(None, {}, {})
    assert "VOICEID_HOME" in caught.value.hint
    with pytest.raises(ConfigError, match="~"):
        load_config(unnamed, {"data": "~/voices"}, {})
    assert not list(unnamed.glob("~*"))


def test_a_current_folder_that_is_gone_is_an_error_unless_it_is_not_needed(
    unnamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = unnamed / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="current folder"):
        load_config(".", {}, {})
    assert load_config(unnamed, {"data": "/voices"}, {}).data == Path("/voices")


@pytest.mark.parametrize(("value", "channel"), [("left", "left"), ("1", 1), ("mix", "mix")])
def test_a_channel_is_a_word_or_a_number(tmp_path: Path, value: str, channel: object) -> None:
    assert load_config(tmp_path, {}, {"VOICEID_AUDIO__CHANNEL": value}).audio.channel == channel


@pytest.mark.parametrize("value", ["-1", "both", "true", "1.5"])
def test_a_channel_that_cannot_be_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="channel"):
        load_config(tmp_path, {}, {"VOICEID_AUDIO__CHANNEL": value})


def test_a_fault_of_yaml_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("replay:\n  check: true\n keep_days: 90\n")
    with pytest.raises(
        ConfigError, match=r"cannot be read: line 3, column 2: expected <block end>"
    ):
        load_config(tmp_path, {}, {})


@pytest.mark.parametrize(
    "text", ["2001-13-45", "9" * 5000, "0x" + "f" * 5000, "[" * 1200, "!!timestamp x", "{a: " * 400]
)
def test_what_yaml_trips_over_is_a_configuration_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(f"margin: {text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {}, {})
    assert len(caught.value.message) < 1000
    with pytest.raises(ConfigError):
        load_config(tmp_path / "none", {}, {"VOICEID_DECISION__MARGIN": text})
