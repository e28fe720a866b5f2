"""Graphs are opened as they were installed, and the machine is used as it was granted."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from voiceid.errors import ConfigError, HashMismatch, ModelNotInstalled, ModelRuntimeError
from voiceid.models.graph import Graph
from voiceid.models.providers import EngineOptions
from voiceid.models.runtime import Session, cpu_limit

GRANTED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """A graph that doubles (N, 3)."""
    graph = Graph("doubling")
    doubled = graph.op("Mul", "x", graph.const([[2.0, 2.0, 2.0]]))
    path = tmp_path / "doubling.onnx"
    path.write_bytes(graph.serialize({"x": ["N", 3]}, {"y": (doubled, ["N", 3])}))
    return path


def opened(path: Path, sha256: str | None = None) -> Session:
    return Session.open(path, inputs={"x": 2}, outputs=["y"], sha256=sha256)


def test_a_graph_runs_and_its_hash_is_checked(doubling: Path) -> None:
    session = opened(doubling, hashlib.sha256(doubling.read_bytes()).hexdigest())
    [found] = session.run({"x": np.ones((2, 3), "f4")})
    assert found.tolist() == [[2, 2, 2], [2, 2, 2]]
    with pytest.raises(HashMismatch, match="not the file that was installed"):
        opened(doubling, "0" * 64)


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelNotInstalled) as caught:
        opened(tmp_path / "doubling.onnx")
    assert "voiceid models pull doubling" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x08\x08" * 1000])
def test_a_file_that_is_no_graph_is_a_typed_error_and_nothing_is_printed(
    data: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelRuntimeError, match="broken cannot be loaded") as caught:
        opened(path)
    assert "\n" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_a_truncated_graph_is_a_typed_error(doubling: Path) -> None:
    doubling.write_bytes(doubling.read_bytes()[:-30])
    with pytest.raises(ModelRuntimeError):
        opened(doubling)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [({"x": 3}, ["y"]), ({"z": 2}, ["y"]), ({"x": 2, "z": 2}, ["y"]), ({"x": 2}, ["y", "z"])],
)
def test_another_kind_of_model_is_refused_when_it_is_opened(
    inputs: dict[str, int], outputs: list[str], doubling: Path
) -> None:
    with pytest.raises(ModelRuntimeError, match=r"but .* is expected"):
        Session.open(doubling, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(
    "feed",
    [{"x": np.ones((2, 4), "f4")}, {"x": np.ones((2, 3), "f8")}, {"z": np.ones((2, 3), "f4")}, {}],
)
def test_an_input_that_does_not_fit_is_a_typed_error_and_nothing_is_printed(
    feed: dict[str, np.ndarray], doubling: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = opened(doubling)
    with pytest.raises(ModelRuntimeError, match="doubling failed on an input"):
        session.run(feed)
    assert capfd.readouterr().out == ""


def with_providers(path: Path, *names: str) -> Session:
    return Session.open(path, inputs={"x": 2}, outputs=["y"], engine=EngineOptions(providers=names))


def test_a_provider_that_this_build_lacks_is_an_error_that_says_what_to_install(
    doubling: Path,
) -> None:
    for name, package in (("cuda", "onnxruntime-gpu"), ("openvino", "onnxruntime-openvino")):
        with pytest.raises(ConfigError, match=rf"asks for {name}, .* has only cpu") as caught:
            with_providers(doubling, name, "cpu")
        assert package in caught.value.hint
    assert with_providers(doubling, "cpu").run({"x": np.ones((1, 3), "f4")})[0].sum() == 6


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_the_engine_drops_silently_is_an_error(
    doubling: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine with the engine's build for CUDA and without CUDA's libraries."""
    claimed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: claimed)
    with pytest.raises(ConfigError, match="has the provider cuda, but could not start it"):
        with_providers(doubling, "cuda", "cpu")


def test_many_threads_share_one_session(doubling: Path) -> None:
    session = opened(doubling)

    def double(n: int) -> bool:
        [found] = session.run({"x": np.full((50, 3), n, "f4")})
        return bool(np.all(found == 2 * n))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(double, range(400)))


@pytest.mark.parametrize(
    ("quota", "granted"),
    [
        ("max 100000", GRANTED),
        ("100000 100000", 1),
        ("150000 100000", min(2, GRANTED)),
        ("10000 100000", 1),
        ("99900000 100000", GRANTED),
        ("", GRANTED),
        ("0 0", GRANTED),
    ],
)
def test_the_limit_of_a_version_2_control_group_counts(
    quota: str, granted: int, tmp_path: Path
) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert cpu_limit(tmp_path) == granted


@pytest.mark.parametrize(("quota", "granted"), [("-1", GRANTED), ("50000", 1), ("100000", 1)])
def test_the_limit_of_a_version_1_control_group_counts(
    quota: str, granted: int, tmp_path: Path
) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu_limit(tmp_path) == granted


def test_without_a_control_group_the_scheduler_decides(tmp_path: Path) -> None:
    assert cpu_limit(tmp_path) == GRANTED


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_the_affinity_of_the_process_counts(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cpu_limit(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)


def test_the_engine_reports_nothing_and_leaves_nothing_in_the_users_folders(
    models_folder: Path, tmp_path: Path
) -> None:
    """ONNX Runtime from 1.29 on keeps a device id and reports there, unless it is switched off."""
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "from pathlib import Path\n"
        "from voiceid.models.runtime import Session\n"
        f"path = Path({str(models_folder / 'campplus.onnx')!r})\n"
        "Session.open(path, inputs={'waveform': 2}, outputs=['embedding'])\n"
    )
    # Without the variables by which it knows that it is being tested.
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)
    assert list(home.rglob("*")) == []
