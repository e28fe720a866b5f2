"""Where a database is: read from a text, and shown without its password."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.config import load_config
from voiceid.domain import DatabaseUrl, database_at
from voiceid.errors import ConfigError

secrets = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=8)


@given(secret=secrets)
def test_a_password_is_never_shown(secret: str) -> None:
    quoted = quote(secret, safe="")
    for text in (
        f"postgresql+psycopg://door:{quoted}@db.example:5433/voices?sslmode=require",
        f"postgresql+psycopg://door@db.example:5433/voices?sslmode=require&password={quoted}",
        f"postgresql+psycopg://door@db.example:5433/voices?sslmode=require&sslpassword={quoted}",
    ):
        url = DatabaseUrl(text)
        assert str(url) == "postgresql+psycopg://door@db.example:5433/voices?sslmode=require"
        assert repr(url) == "DatabaseUrl()"
        assert {secret, quoted} <= set(url.secrets)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:hidden@h/v",
        "mysql://u:hidden@h/v",
        "postgresql+psycopg://u:hidden@h",
        "postgresql+psycopg://u:hidden@h:port/v",
        "postgresql+psycopg://u:pass/hidden@h/v",
        "postgresql+psycopg://u:pass?hidden@h/v",
        "postgresql+psycopg://u:pass#hidden@h/v",
        "postgresql+psycopg://u:pass@hidden@h/v",
        "postgresql+psycopg://u:[hidden@h/v",
        "postgresql+psycopg://u:hidden\u2100@h/v",
        "postgresql+psycopg://h/v?password=pass#hidden",
        "postgresql+psycopg://h/v?password=pass/@hidden",
        "postgresql+psycopg://h/v;password=hidden",
        "sqlite:///hidden",
        "hidden",
    ],
)
def test_what_is_no_such_url_is_a_configuration_error_that_does_not_repeat_it(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(ConfigError, match="VOICEID_DATABASE_URL: database_url") as refused:
        load_config(tmp_path, {}, {"VOICEID_DATABASE_URL": text})
    assert "hidden" not in f"{refused.value.message} {refused.value.hint}"


def test_the_setting_comes_from_the_environment_or_the_file(tmp_path: Path) -> None:
    assert load_config(tmp_path, {}, {}).database_url is None
    text = "postgresql+psycopg://door:secret@db/voices"
    config = load_config(tmp_path, {}, {"VOICEID_DATABASE_URL": text})
    assert config.database_url == DatabaseUrl(text)
    (tmp_path / "config.yaml").write_text(f"database_url: {text}\n", encoding="utf-8")
    assert load_config(tmp_path, {}, {}).database_url == DatabaseUrl(text)
    assert "secret" not in repr(config)


def test_a_database_is_a_path_or_a_url() -> None:
    assert database_at("data/voiceid.sqlite3") == Path("data/voiceid.sqlite3")
    assert database_at("sqlite:///data/v.sqlite3") == Path("data/v.sqlite3")
    assert database_at("sqlite:////var/v.sqlite3") == Path("/var/v.sqlite3")
    for text in ("postgresql+psycopg://db/voices", "postgresql+psycopg:///voices"):
        assert database_at(text) == DatabaseUrl(text)
        assert str(database_at(text)) == text
    with pytest.raises(ValueError, match="postgresql"):
        database_at("oracle://db/voices")
