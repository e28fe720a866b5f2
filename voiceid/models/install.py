"""The installed models: pulled, built, tested, and then moved into place.

An installed model is two files: ``NAME.onnx``, and ``NAME.json``, the receipt that says
what it was built from and what its hash must be.  Both are written in a temporary folder
beside them and moved, so that a model is never incomplete, even after an interruption.  A
model that was added or quantized here has its card in the folder ``own``, which is written last,
with the compensation that was fitted to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from voiceid.errors import (
    HashMismatch,
    ModelError,
    ModelNotInstalled,
    ModelRuntimeError,
    ModelUnknown,
    SelfTestFailed,
)
from voiceid.models.build import build_graph
from voiceid.models.card_text import card_text
from voiceid.models.cards import (
    LocalFile,
    ModelCard,
    Quantized,
    fitted_file,
    is_model_name,
    load_cards,
    own_cards_folder,
)
from voiceid.models.checkpoint import file_sha256, read_file, read_graph
from voiceid.models.fetch import Progress, fetch_member, require_hash
from voiceid.models.receipt import read_receipt, receipt_of
from voiceid.models.status import InstalledModel, ModelStatus, VerifyResult
from voiceid.observability import ChangeKind

if TYPE_CHECKING:  # it loads the engine
    from voiceid.decision.compensation import Compensation
    from voiceid.domain import Float32Array
    from voiceid.models.add import Addition

_SCRATCH_PREFIX = ".pull-"
_STALE_S = 24 * 3600.0


class ModelStore:
    """The folder of installed models.  Safe to share among threads and processes.

    - `folder`: made when something is first installed.
    - `offline`: never fetch.
    - `changed`: receives every model that was installed, fitted or removed.
    """

    def __init__(
        self,
        folder: Path,
        cards: Mapping[str, ModelCard],
        *,
        offline: bool,
        changed: Callable[[str, ChangeKind], None] = lambda *_: None,
    ) -> None:
        self.folder = folder
        self.cards = cards
        self.offline = offline
        self._changed = changed

    def card(self, name: str) -> ModelCard:
        """Return the card of a model; raises ModelUnknown."""
        try:
            return self.cards[name]
        except KeyError:
            known = ", ".join(sorted(self.cards))
            raise ModelUnknown(f"there is no model {name!r}; use one of {known}") from None

    def list(self) -> Sequence[ModelStatus]:
        """Return the status of every model that has a card, by name."""
        return [self._status(card) for _, card in sorted(self.cards.items())]

    def is_installed(self, name: str) -> bool:
        """Whether an artefact and its receipt are there, built from the card's checkpoint."""
        return self._receipt(self.card(name)) is not None

    def installed(self, name: str) -> InstalledModel:
        """Return where the artefact is, and its hash; raises ModelNotInstalled, HashMismatch."""
        card = self.card(name)
        receipt = self._receipt(card)
        if receipt is None:
            raise _not_installed(card, self.folder, offline=self.offline)
        if card.graph_sha256 not in {"", receipt}:
            raise HashMismatch(
                f"{self._path(card)} has sha256 {receipt} by its receipt, but {name} has"
                f" {card.graph_sha256}",
                hint=f"Run `voiceid models pull --force {name}`.",
            )
        return InstalledModel(self._path(card), receipt)

    def ensure(self, name: str, progress: Progress | None = None) -> None:
        """Install the model if it is missing; raises ModelNotInstalled when offline."""
        if not self.is_installed(name):
            self.pull(name, progress=progress)

    def pull(
        self,
        name: str,
        *,
        source: Path | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> InstalledModel:
        """Fetch, build, test and install a model.

        - `source`: a checkpoint on disk to use instead; its hash must be the card's.
        - `force`: build it again even if it is installed.

        Raises ModelUnknown, DownloadFailed, HashMismatch, CheckpointInvalid, SelfTestFailed, or,
        offline and without a source, ModelNotInstalled: nothing was installed.
        """
        card, tell = self.card(name), progress or _silent
        if self.is_installed(name) and not force and source is None:
            return self.installed(name)
        if self.offline and source is None and not isinstance(card.source, Quantized):
            self.installed(name)  # names the missing model, and that it is offline
        with self._scratch() as scratch:
            data = self._checkpoint(card, source, scratch, tell)
            self._install(card, data, scratch, tell)
        self._changed(name, ChangeKind.INSTALL_MODEL)
        return self.installed(name)

    def add(self, file: Path, said: Addition, progress: Progress | None = None) -> ModelCard:
        """Add an ONNX file, with one input and one output, as a model with a card.

        Raises ModelError: the name cannot be used, or is taken; CheckpointInvalid, SelfTestFailed
        or ModelRuntimeError: the file cannot be added; nothing was installed.
        """
        from voiceid.models import add  # noqa: PLC0415 - loads the engine

        tell = progress or _silent
        name = file.stem.lower() if said.name is None else said.name
        self._require_free(name)
        tell(f"examining {file.name}", 0, None)
        data = read_graph(file)
        card = add.examined(name, file, data, said)
        self._install_own(card, data, tell)
        return card

    def quantize(
        self,
        name: str,
        clips: Sequence[Float32Array],
        new_name: str,
        progress: Progress | None = None,
    ) -> ModelCard:
        """Make the INT8 form of an installed encoder, with the ranges measured on clips.

        - `clips`: (n,) float32 speech at 16 kHz, -1 to 1.

        Raises ModelError: the name cannot be used, or is taken; CheckpointInvalid: there is nothing
        in it that can be quantized.
        """
        from voiceid.models import quantize  # noqa: PLC0415 - loads the engine

        tell = progress or _silent
        self._require_free(new_name)
        data = read_file(self.installed(name).path)
        card = quantize.card_of(new_name, self.card(name), data, clips, tell)
        self._install_own(card, data, tell)
        return card

    def _install_own(self, card: ModelCard, data: bytes, tell: Progress) -> None:
        folder = own_cards_folder(self.folder)
        with self._scratch() as scratch:
            self._install(card, data, scratch, tell)
            folder.mkdir(exist_ok=True)
            _write(scratch / f"{card.name}.toml", card_text(card).encode())
            (scratch / f"{card.name}.toml").replace(folder / f"{card.name}.toml")
        self.cards = {**self.cards, card.name: card}
        self._changed(card.name, ChangeKind.INSTALL_MODEL)

    def require_own(self, name: str) -> None:
        """Raise ModelError unless a model was added or quantized here, ModelUnknown."""
        if not os.path.isfile(own_cards_folder(self.folder) / f"{self.card(name).name}.toml"):
            raise ModelError(
                f"{name} comes with voiceid, and its card cannot be changed",
                hint="`voiceid calibrate` and `voiceid adapt` fit it to your site; `voiceid models"
                " add` makes your own model.",
            )

    def refit(self, card: ModelCard, compensation: Compensation | None) -> ModelCard:
        """Give a model that was added or quantized here another card, and a compensation.

        - `card`: names the compensation, if there is one.

        The card is moved into place last: until then the old one is used, with its files.
        Raises ModelError: the model came with voiceid, or cannot be written; nothing changed.
        """
        self.require_own(card.name)
        folder, old = own_cards_folder(self.folder), self.card(card.name)
        with self._scratch() as scratch:
            files = {f"{card.name}.toml": card_text(card).encode()}
            if compensation is not None:
                files = {fitted_file(card): compensation.to_bytes(), **files}
            for name, data in files.items():
                _write(scratch / name, data)
            read = load_cards(scratch)[card.name]  # a card that cannot be read must not be written
            read.compensation()
            for name in files:
                (scratch / name).replace(folder / name)
        self._remove_fitted(card.name, {fitted_file(old), fitted_file(card)})
        read = replace(read, folder=folder)
        self.cards = {**self.cards, card.name: read}
        self._changed(card.name, ChangeKind.FIT_MODEL)
        return read

    def _remove_fitted(self, name: str, kept: Collection[str] = ()) -> None:
        """Remove the compensations that were fitted to a model, except some."""
        for path in own_cards_folder(self.folder).glob("*.npz"):
            if path.name not in kept and path.name[:-21] == name:
                path.unlink(missing_ok=True)

    def verify(self, name: str) -> VerifyResult:
        """Check the artefact against its receipt, then run the self-test.

        Raises ModelNotInstalled, HashMismatch or SelfTestFailed.
        """
        installed = self.installed(name)
        graph = read_file(installed.path)
        digest = hashlib.sha256(graph).hexdigest()
        if digest != installed.sha256:
            raise HashMismatch(
                f"{installed.path} has sha256 {digest}, but {installed.sha256} was installed",
                hint=f"Run `voiceid models pull --force {name}`.",
            )
        return VerifyResult(name, digest, self._test(self.card(name), graph))

    def remove(self, name: str) -> None:
        """Remove a model; one made here goes with its card.  Raises ModelNotInstalled."""
        path = self._path(self.card(name))
        own = own_cards_folder(self.folder) / f"{name}.toml"
        if os.path.exists(own):
            own.unlink(missing_ok=True)
            self._remove_fitted(name)
            self.cards = {key: value for key, value in self.cards.items() if key != name}
        elif not self.is_installed(name):
            self.installed(name)  # names the missing model
        # The receipt goes first: without it the model counts as not installed.
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        self._changed(name, ChangeKind.REMOVE_MODEL)

    def _require_free(self, name: str) -> None:
        if not is_model_name(name):
            raise ModelError(
                f"a model cannot be called {name!r}",
                hint="Choose a --name of lower-case letters, digits, dots and dashes.",
            )
        if name in self.cards:
            raise ModelError(
                f"there is already a model {name}",
                hint=f"Choose another --name; or `voiceid models remove {name}`, if you added it.",
            )

    def _path(self, card: ModelCard) -> Path:
        return self.folder / f"{card.name}.onnx"

    def _status(self, card: ModelCard) -> ModelStatus:
        path, installed = self._path(card), self._receipt(card) is not None
        size = path.stat().st_size if installed else None
        return ModelStatus(card.name, card.kind, installed, path, size, card)

    def _receipt(self, card: ModelCard) -> str | None:
        """Return the hash of the artefact, or None when this card's model is not installed."""
        path = self._path(card)
        return read_receipt(path.with_suffix(".json"), card) if os.path.isfile(path) else None

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """Yield a temporary folder beside the models; remove those that killed pulls left."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for old in self.folder.glob(f"{_SCRATCH_PREFIX}*"):
                with suppress(FileNotFoundError):  # of a pull that ended meanwhile
                    if time.time() - old.stat().st_mtime > _STALE_S:
                        shutil.rmtree(old, ignore_errors=True)
            with tempfile.TemporaryDirectory(
                prefix=_SCRATCH_PREFIX, dir=self.folder, ignore_cleanup_errors=True
            ) as name:
                yield Path(name)
        except OSError as error:
            raise ModelError(
                f"the models folder {self.folder} cannot be written to: {error.strerror}",
                hint="Free disk space, or set `models:` in config.yaml, or VOICEID_HOME, to a"
                " folder that is yours.",
            ) from error

    def _checkpoint(
        self, card: ModelCard, source: Path | None, scratch: Path, progress: Progress
    ) -> bytes:
        if isinstance(card.source, Quantized):
            return self._base(card.source, source, progress)
        if source is None:
            return fetch_member(card, scratch, progress)
        # Before it is in memory.
        require_hash(file_sha256(source), card.checkpoint_sha256, str(source))
        return read_file(source)

    def _base(self, quantized: Quantized, source: Path | None, progress: Progress) -> bytes:
        """Return the installed graph of a quantized model's base; it is pulled if need be."""
        if self.card(quantized.base).checkpoint_sha256 != quantized.base_sha256:
            raise HashMismatch(
                f"{quantized.base} is not the network that was quantized",
                hint="Remove the quantized model, and quantize it again.",
            )
        if source is None:
            self.ensure(quantized.base, progress)
        else:
            self.pull(quantized.base, source=source, progress=progress)
        self.verify(quantized.base)
        return read_file(self.installed(quantized.base).path)

    def _install(self, card: ModelCard, data: bytes, scratch: Path, tell: Progress) -> None:
        tell(f"building {card.name}", 0, None)
        graph = build_graph(card, data)
        digest = hashlib.sha256(graph).hexdigest()
        if card.graph_sha256 not in {"", digest}:
            raise HashMismatch(
                f"the graph that was built for {card.name} has sha256 {digest}, but its card pins"
                f" {card.graph_sha256}",
                hint="Nothing was installed. Please report this with the versions of numpy and"
                " onnx.",
            )
        tell(f"testing {card.name}", 0, None)
        self._test(card, graph)
        path = self._path(card)
        _write(scratch / path.name, graph)
        _write(scratch / f"{card.name}.json", receipt_of(card, graph))
        # The receipt comes last: until it is there the model counts as not installed, and
        # builds are the same to the byte, so that two pulls at once do not disagree.
        for new in (path, path.with_suffix(".json")):
            (scratch / new.name).replace(new)

    def _test(self, card: ModelCard, graph: bytes) -> float:
        from voiceid.models.selftest import run_selftest  # noqa: PLC0415 - loads the engine

        try:
            return run_selftest(card, graph)
        except ModelRuntimeError as error:
            raise SelfTestFailed(
                f"{card.name} was built, but cannot be run: {error.message}",
                hint="Nothing was installed. Please report this with your platform and versions.",
            ) from error


def _not_installed(card: ModelCard, folder: Path, *, offline: bool) -> ModelNotInstalled:
    problem = f"the model {card.name} is not installed in {folder}"
    pull = f"voiceid models pull {card.name}"
    if isinstance(card.source, LocalFile):
        hint = f"It was added from a file: `{pull} --from {card.source.file}`."
        return ModelNotInstalled(problem, hint=hint)
    if offline:
        hint = f"Run `{pull}` without --offline (and without offline: true)."
        return ModelNotInstalled(f"{problem}, and cannot be fetched offline", hint=hint)
    return ModelNotInstalled(problem, hint=f"Run `{pull}`.")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _silent(stage: str, done_bytes: int, total_bytes: int | None) -> None:
    del stage, done_bytes, total_bytes
