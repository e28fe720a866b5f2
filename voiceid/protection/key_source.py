"""The place of a gallery's key: a file, a variable, the system's keyring, or a command.

A key is 32 random bytes, written as base64.  A file may hold several, one per line: during a change
the old key stands below the new one, so that a kill at any moment leaves the right key.
"""

from __future__ import annotations

import base64
import glob
import hashlib
import importlib
import os
import shlex
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceid.errors import GalleryKeyMissing, StoreError
from voiceid.foreign_files import Unfit, opened
from voiceid.protection.ciphers import KEY_BYTES, Key
from voiceid.whole_files import alone_in, whole_file

KINDS = ("file", "env", "keyring", "command")
_COMMAND_S = 30.0
_SERVICE = "voiceid"
_MOST_BYTES = 4096
KEY, PASSPHRASE = "key", "passphrase"
"""The kinds of secret in a place."""
_HINT = {
    KEY: "Restore the key to this place (docs/privacy.md): without it nothing can be read.",
    PASSPHRASE: "Put the passphrase there, or name another place.",
}
_CHANGE = {KEY: "`voiceid keys gallery rotate`", PASSPHRASE: "use another passphrase"}


@dataclass(frozen=True, slots=True)
class KeySource:
    """The place of a key, or of a passphrase.

    - `kind`: ``file``, ``env``, ``keyring`` or ``command``.
    - `place`: the path, the variable, the name in the keyring, or the command that prints the key.
    - `what`: `KEY` or `PASSPHRASE`.
    """

    kind: str
    place: str
    what: str = KEY

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"

    @classmethod
    def parse(cls, text: str, home: Path | None = None, what: str = KEY) -> KeySource:
        """Return the source for a text like ``file:/etc/voiceid.key``; raises ValueError."""
        kind, _, place = text.partition(":")
        if kind not in KINDS or not place.strip():
            raise ValueError("not file:PATH, env:NAME, keyring:NAME or command:PROGRAM ARGUMENTS")
        if kind == "file" and home is not None:
            place = str(home / Path(place).expanduser())
        return cls(kind, place, what)

    def read(self) -> list[Key]:
        """Return the keys, newest first; raises GalleryKeyMissing."""
        keys = [self._key(line) for line in self._text().split()]
        if not keys:
            raise self._missing("there is none")
        return keys

    def passphrase(self) -> str:
        """Return the first line in the place; raises GalleryKeyMissing."""
        first, _, _ = self._text().partition("\n")
        if not first.strip():
            raise self._missing("there is none")
        return first.removesuffix("\r")

    def _text(self) -> str:
        return {
            "file": self._read_file,
            "env": lambda: os.environ.get(self.place, ""),
            "keyring": self._read_keyring,
            "command": self._run,
        }[self.kind]()

    def is_there(self) -> bool:
        """Whether anything is in the place."""
        try:
            return bool(self.read())
        except GalleryKeyMissing:
            return self.kind == "file" and os.path.lexists(self.place)

    def change(self, make: Callable[[list[Key]], list[Key]]) -> list[Key]:
        """Replace the keys, newest first, by what ``make`` returns for them; return these.

        Only a file (0600) and a keyring can be written.  Nothing is written if nothing changes.
        """
        if self.kind != "file":
            return self._changed(make, None)
        path = Path(self.place)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = Path(os.path.realpath(path))  # a link stays a link
            with alone_in(path.parent):  # two galleries may have their keys in one file
                for unfinished in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
                    unfinished.unlink()  # left by a killed process, with keys in it
                return self._changed(make, path)
        except OSError as error:
            raise StoreError(
                f"the key cannot be written to {path}: {error.strerror or error}",
                hint="Name another place: `privacy.key` in the settings.",
            ) from error

    def _changed(self, make: Callable[[list[Key]], list[Key]], path: Path | None) -> list[Key]:
        there = self.read() if self.is_there() else []
        if (keys := make(there)) == there:
            return keys
        text = "".join(f"{base64.b64encode(key.secret).decode()}\n" for key in keys)
        if path is not None:
            with whole_file(path) as file:
                file.write(text.encode())
        elif self.kind == "keyring":
            self._keyring().set_password(_SERVICE, self.place, text)
        else:
            raise StoreError(
                f"a key cannot be written to {self}",
                hint="Put a key there first: `openssl rand -base64 32` makes one. To change it, use"
                " another place: `voiceid keys gallery rotate --to PLACE`.",
            )
        return keys

    def _read_file(self) -> str:
        path = Path(self.place)
        try:
            with opened(path) as file:
                status = os.fstat(file.fileno())
                content = file.read(_MOST_BYTES)
        except (OSError, Unfit) as error:
            why = error.strerror if isinstance(error, OSError) else None
            raise self._missing(why or str(error)) from error
        if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
            raise GalleryKeyMissing(
                f"other users may read the {self.what} in {path}, so it is not used",
                hint=f"Run: chmod 600 {path}; then change it: {_CHANGE[self.what]}.",
            )
        return content.decode("utf-8-sig", "replace")  # some editors write a byte order mark

    def _read_keyring(self) -> str:
        return self._keyring().get_password(_SERVICE, self.place) or ""

    def _keyring(self) -> Any:
        try:
            return importlib.import_module("keyring")  # an extra
        except ImportError as error:
            raise self._missing(
                'the keyring needs a library: pip install "voiceid[keyring]"'
            ) from error

    def _run(self) -> str:
        """Return the output of the command.

        It gets no input, which may be audio, and only as much output is read as fits into a pipe.
        """
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", buffering=0) as printed:
            try:
                with os.fdopen(writing, "wb") as output:
                    subprocess.run(  # noqa: S603 - the operator's own setting
                        shlex.split(self.place),
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.DEVNULL,
                        timeout=_COMMAND_S,
                        check=True,
                    )
            except subprocess.CalledProcessError as error:
                raise self._missing(f"the command ended with {error.returncode}") from None
            except subprocess.TimeoutExpired:
                raise self._missing(f"the command did not end in {_COMMAND_S:.0f} s") from None
            except (OSError, ValueError) as error:
                raise self._missing(type(error).__name__) from None
            os.set_blocking(reading, False)  # a child of the command may keep it open
            return (printed.read(_MOST_BYTES) or b"").decode("utf-8", "replace")

    def _key(self, line: str) -> Key:
        try:
            secret = base64.b64decode(line, validate=True)
        except ValueError as error:
            raise self._missing("the content is not base64") from error
        if len(secret) != KEY_BYTES:
            raise self._missing(f"the content has {len(secret)} bytes, not {KEY_BYTES}")
        return Key(secret)

    def _missing(self, why: str) -> GalleryKeyMissing:
        subject = "key of the gallery" if self.what == KEY else self.what
        return GalleryKeyMissing(f"the {subject} is not in {self}: {why}", hint=_HINT[self.what])


def key_id_of(key: Key) -> str:
    """Return 16 hex digits that identify a key, but do not reveal it."""
    return hashlib.sha256(key.derive("id").secret).hexdigest()[:16]
