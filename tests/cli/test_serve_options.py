"""What `voiceid serve` refuses before it serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cli_running import Ran

from voiceid import ConfigError, VoiceID
from voiceid.server.running import Listening, Wyoming, require_safe


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--compat", "azure,alexa"], "there is no adapter 'alexa'"),
        (["--wyoming", "tcp://127.0.0.1:10300"], "go together"),
        (["--wyoming", "127.0.0.1:10300", "--wyoming-upstream", "x"], "is not an address"),
        (["--wyoming", "tcp://[", "--wyoming-upstream", "x"], "is not an address"),
        (["--wyoming", "tcp://a:b", "--wyoming-upstream", "x"], "is not an address"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_listens(
    run: Callable[..., Ran], options: list[str], said: str
) -> None:
    ran = run("serve", "--port", "0", *options)
    assert (ran.code != 0, said in ran.err) == (True, True), ran.err


def test_wyoming_which_has_no_keys_listens_beyond_this_host_only_when_forced(
    tmp_path: Path, models_folder: Path
) -> None:
    proxy = Wyoming("0.0.0.0", 10300, ("stt", 10301))
    with VoiceID.open(tmp_path, home=tmp_path, overrides={"models": str(models_folder)}) as vid:
        with pytest.raises(ConfigError, match="no keys and no TLS"):
            require_safe(vid, Listening(wyoming=proxy))
        require_safe(vid, Listening(wyoming=proxy, insecure=True))
