"""Who else may write to what decides is seen, and private setups are left in peace."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from voiceid.permissions import exposures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir(mode=0o700)
    return made


@pytest.mark.parametrize(
    ("mode", "grave"),
    [
        *((0o700, []), (0o755, []), (0o1755, []), (0o770, [False]), (0o775, [False])),
        *((0o702, [True]), (0o777, [True]), (0o1777, [True])),
    ],
)
def test_a_path_that_every_user_or_a_group_may_write_to_is_exposed(
    folder: Path, mode: int, grave: list[bool]
) -> None:
    if os.getuid() == 0:
        os.chown(folder, 0, 65_533)  # a group of another name than the owner's
    folder.chmod(mode)
    assert [found.grave for found in exposures([folder])] == grave
    assert all(str(folder) in found.message + found.hint for found in exposures([folder]))


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a file away")
def test_the_private_group_of_the_owner_is_not_said(folder: Path) -> None:
    os.chown(folder, 0, 0)
    folder.chmod(0o770)
    assert exposures([folder]) == []


@pytest.mark.parametrize(
    ("name", "members", "said"),
    [("me", [], []), ("me", ["me"], []), ("me", ["me", "eve"], [False]), ("staff", [], [False])],
)
def test_a_group_of_the_owner_s_name_is_private_unless_it_has_other_members(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, members: list[str], said: list[bool]
) -> None:
    group, owner = SimpleNamespace(gr_name=name, gr_mem=members), SimpleNamespace(pw_name="me")
    monkeypatch.setattr("grp.getgrgid", lambda _: group)
    monkeypatch.setattr("pwd.getpwuid", lambda _: owner)
    folder.chmod(0o770)
    assert [found.grave for found in exposures([folder])] == said


@pytest.mark.parametrize(
    ("user", "owner", "said"),
    [
        *((4711, 4711, []), (4711, 0, []), (4711, 4712, [False])),
        *((0, 0, []), (0, 4711, [])),  # root serves data of a user of its own
    ],
)
def test_what_belongs_to_another_user_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, user: int, owner: int, said: list[bool]
) -> None:
    stat = os.stat

    def owned(path: Path) -> SimpleNamespace:
        return SimpleNamespace(st_mode=stat(path).st_mode, st_uid=owner, st_gid=0)

    with monkeypatch.context() as patched:
        patched.setattr("voiceid.permissions.os.stat", owned)
        patched.setattr("voiceid.permissions.os.geteuid", lambda: user)
        exposed = exposures([folder])
    assert [found.grave for found in exposed] == said
    assert all(str(owner) in found.message for found in exposed)


def test_a_folder_above_is_said_unless_it_is_sticky(folder: Path) -> None:
    for mode, said in ((0o777, [False]), (0o1777, [])):
        folder.chmod(mode)
        inside = folder / "x" / "y"
        inside.mkdir(mode=0o700, parents=True, exist_ok=True)
        assert [found.grave for found in exposures([inside])] == said


def test_the_folders_above_what_a_link_points_to_are_said(folder: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide"
    (wide / "real").mkdir(parents=True)
    (folder / "link").symlink_to(wide / "real")
    assert exposures([folder / "link"]) == []
    wide.chmod(0o777)
    assert [(found.path, found.grave) for found in exposures([folder / "link"])] == [(wide, False)]


def test_nobody_is_asked_to_change_a_device() -> None:
    (exposed,) = exposures([Path("/dev/null")])
    assert exposed.grave
    assert "chmod" not in exposed.hint


def test_what_is_not_there_is_not_exposed(tmp_path: Path) -> None:
    assert exposures([tmp_path / "none" / "x"]) == []
