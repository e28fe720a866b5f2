"""The only door to ONNX Runtime, and the processors that this process may use.

From 1.29 on ONNX Runtime's builds for Linux report to its maker which models are loaded, and
keep a device id and a queue of reports in the user's cache folder, unless that is switched off
before they are loaded.  It is switched off here: nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from voiceid.errors import ConfigError, HashMismatch, ModelNotInstalled, ModelRuntimeError
from voiceid.foreign_files import WEIGHTS, Unfit, mapped
from voiceid.models.operators import GraphRefused, require_plain
from voiceid.models.providers import PROVIDERS, EngineOptions

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, when the engine is loaded

_NOT_WANTED = "WeightBiasQuantization"
"""An optimizer that converts convolutions to integers that were left in float32."""

S = TypeVar("S")
T = TypeVar("T")
FloatArray: TypeAlias = npt.NDArray[np.float32]

_ERRORS_ONLY = 3
"""ONNX Runtime's log severity; its warnings are for people who write graphs."""


@cache
def _engine() -> Any:
    """Load the engine when the first graph is run: most commands run no graph."""
    try:
        import onnxruntime  # noqa: PLC0415
    except (ImportError, OSError) as error:
        hint = "Install voiceid again."
        raise ModelRuntimeError(f"ONNX Runtime cannot be loaded: {error}", hint=hint) from error
    onnxruntime.disable_telemetry_events()  # if it was loaded before
    return onnxruntime


def cpu_limit(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many processors this process may keep busy, at least 1.

    The least of the scheduler's affinity mask and the control group's quota (v2:
    ``cpu.max``; v1: ``cpu.cfs_quota_us``): inside a container ``os.cpu_count`` is the host's.
    """
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota = _quota(root)
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def _quota(root: Path) -> float | None:
    """Return the processors that the control group grants, or None when it sets no limit."""
    try:
        if (v2 := root / "cpu.max").is_file():
            limit, period = v2.read_text().split()[:2]
        else:
            limit = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        quota = float(limit) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # no cgroup, or "max"
        return None
    return quota if quota > 0 else None


def step_back() -> None:
    """Give this thread the lowest priority, if the system can."""
    if sys.platform != "linux":  # elsewhere this would change the whole process
        return
    with contextlib.suppress(OSError):  # a service may not be allowed to
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def in_order(function: Callable[[S], T], items: Iterable[S], workers: int) -> Iterator[T]:
    """Yield ``function(item)`` for each item, in order, with ``workers`` threads.

    At most ``2 workers + 1`` items are under way.  An exception of ``function`` is raised in its
    place.
    """
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="voiceid") as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # the caller stopped
                future.cancel()


class Session:
    """A graph that is loaded and ready; safe to run from many threads at once."""

    def __init__(self, session: Any, name: str, outputs: Sequence[str]) -> None:
        self._session = session
        self._name = name
        self._outputs = list(outputs)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        inputs: Mapping[str, int],
        outputs: Sequence[str],
        sha256: str | None = None,
        engine: EngineOptions = EngineOptions(),
    ) -> Self:
        """Load a graph that must have these inputs (name to rank) and outputs.

        :meth:`run` returns the outputs in this order.  ``sha256`` is the file's hash, in hex.
        Raises ModelRuntimeError for an operator that is not known: see `voiceid.models.operators`.
        """
        try:
            graph = mapped(path, WEIGHTS)
        except (OSError, Unfit) as error:
            raise ModelNotInstalled(
                f"the model file {path} cannot be read: {getattr(error, 'strerror', error)}",
                hint=f"Run `voiceid models pull {path.stem}`.",
            ) from error
        if sha256 is not None and hashlib.sha256(graph).hexdigest() != sha256:
            raise HashMismatch(
                f"{path} is not the file that was installed: its sha256 differs",
                hint=f"Run `voiceid models remove {path.stem}`, then pull it again.",
            )
        _require_plain(graph, path.stem)
        # By its path, not as bytes: the engine would keep a second copy of the 28 MB of CAM++.
        return cls._load(os.fspath(path), path.stem, inputs, outputs, engine)

    @classmethod
    def of_bytes(
        cls,
        graph: bytes,
        name: str,
        *,
        inputs: Mapping[str, int],
        outputs: Sequence[str],
        engine: EngineOptions = EngineOptions(),
    ) -> Self:
        """Load a graph from memory; see :meth:`open`."""
        _require_plain(memoryview(graph), name)
        return cls._load(graph, name, inputs, outputs, engine)

    @classmethod
    def _load(
        cls,
        graph: bytes | str,
        name: str,
        inputs: Mapping[str, int],
        outputs: Sequence[str],
        engine: EngineOptions,
    ) -> Self:
        providers = provider_names(engine)
        options = _engine().SessionOptions()
        options.intra_op_num_threads = engine.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Its plan is for inputs of one size: for clips not faster, and up to a third more memory.
        options.enable_mem_pattern = False
        try:
            session = _engine().InferenceSession(
                graph, options, providers=providers, disabled_optimizers=[_NOT_WANTED]
            )
        except Exception as error:  # its exceptions have no base of their own
            raise ModelRuntimeError(
                f"the graph of {name} cannot be loaded: {_first_line(error)}",
                hint=f"Run `voiceid models remove {name}`, then pull it again.",
            ) from error
        _require_used(providers, session.get_providers())
        ranks = {i.name: len(i.shape) for i in session.get_inputs()}
        missing = set(outputs) - {o.name for o in session.get_outputs()}
        if ranks != dict(inputs) or missing:
            raise ModelRuntimeError(
                f"the graph of {name} takes {ranks}, but {dict(inputs)} is expected"
                + (f", and lacks the outputs {sorted(missing)}" if missing else ""),
                hint="It is another kind of model; see its card.",
            )
        return cls(session, name, outputs)

    def size(self, name: str, axis: int) -> int | None:
        """Return the fixed size of an axis of an input; None: any."""
        [shape] = [entry.shape for entry in self._session.get_inputs() if entry.name == name]
        return shape[axis] if isinstance(shape[axis], int) else None

    def gives(self, output: str) -> bool:
        """Whether the graph has an output of that name."""
        return any(output == there.name for there in self._session.get_outputs())

    def run(
        self, feeds: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> list[FloatArray]:
        """Run the graph once; arrays in by name, arrays out in the order of ``outputs``.

        - `outputs`: their names; None: those of `open`.
        """
        try:
            return list(self._session.run(outputs or self._outputs, dict(feeds)))
        except Exception as error:
            raise ModelRuntimeError(
                f"{self._name} failed on an input: {_first_line(error)}",
                hint=f"Run `voiceid models verify {self._name}`.",
            ) from error


def engine_version() -> str:
    """Return the engine's name and version, and the providers that this build of it has."""
    return f"ONNX Runtime {_engine().__version__}, with {', '.join(_there())}"


def _there() -> list[str]:
    available = _engine().get_available_providers()
    return [name for name, provider in PROVIDERS.items() if provider.engine_name in available]


def provider_names(engine: EngineOptions) -> list[str]:
    """Return the engine's names of the providers; raises ConfigError when one is missing."""
    there = _there()
    for name in engine.providers:
        if name not in there:
            raise ConfigError(
                f"runtime.providers asks for {name}, but this ONNX Runtime"
                f" ({_engine().__version__}) has only {', '.join(there)}",
                hint=f"Install {PROVIDERS[name].package} in place of onnxruntime, or take {name}"
                " out of runtime.providers.",
            )
    return [PROVIDERS[name].engine_name for name in engine.providers]


def _require_used(providers: Sequence[str], used: Sequence[str]) -> None:
    """Raise ConfigError unless a session has every provider: the engine drops them silently."""
    for name, provider in PROVIDERS.items():
        if provider.engine_name in providers and provider.engine_name not in used:
            raise ConfigError(
                f"ONNX Runtime has the provider {name}, but could not start it",
                hint=f"Its libraries or its device may be missing: see what {provider.package}"
                f" needs, or take {name} out of runtime.providers.",
            )


def _require_plain(graph: memoryview, name: str) -> None:
    try:
        require_plain(graph)
    except GraphRefused as error:
        raise ModelRuntimeError(
            f"the graph of {name} cannot be loaded: {error}",
            hint=f"Run `voiceid models remove {name}`, then pull it again.",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
