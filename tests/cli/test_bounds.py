"""What others may have written is read up to a bound: small files that ask for much are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_running import environment
from hostile import CASES, fault


@pytest.fixture(scope="module")
def outcomes(models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run all cases in a process whose memory is limited; see `hostile`."""
    folder = tmp_path_factory.mktemp("hostile")
    home = {"VOICEID_HOME": str(folder), "VOICEID_MODELS": str(models_folder)}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("hostile.py"), folder],
        capture_output=True,
        text=True,
        env=environment(VOICEID_OFFLINE="true", **home),
        timeout=600,
        check=True,
    )
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", CASES)
def test_what_asks_for_much_is_refused_with_the_bound(name: str, outcomes: dict[str, Any]) -> None:
    assert fault(name, outcomes[name]) == ""
