"""Builds the API reference from the docstrings: ``python -m docs.reference FOLDER``.

pdoc renders one page, of what `voiceid` exports.  What it cannot know is told it here:

- A name is there once it has been asked for (PEP 562).
- `VoiceID` gets its methods from classes that nobody else meets: they stand under `VoiceID`,
  and `VoiceID` at the top.
- An alias of types loses its name in signatures: a class of that name stands in for it.  Its
  docstring stands where it is defined, and not where it is exported.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt
from pdoc import doc, render

import voiceid
from voiceid.app import people, questions, upkeep
from voiceid.audio import media


def build(folder: Path) -> Path:
    """Write the reference into a folder, which is made; return the page."""
    _name_aliases()
    render.configure(
        docformat="numpy",
        include_undocumented=False,
        show_source=False,
        search=False,
        footer_text=f"voiceid {voiceid.__version__}",
    )
    for name in dir(voiceid):
        getattr(voiceid, name)
    reference = doc.Module(voiceid)
    _complete(reference.members)
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text(render.html_module(reference, {"voiceid": reference}), encoding="utf-8")
    return page


def _name_aliases() -> None:
    """Let signatures say AudioSource and ArrayLike; for this process, which does no more."""
    for alias, module, users in (
        ("AudioSource", "voiceid", (people, questions, upkeep)),
        ("ArrayLike", "numpy.typing", (npt,)),
    ):
        stand_in = type(alias, (), {"__module__": module})
        for user in users:
            setattr(user, alias, stand_in)


def _complete(members: dict[str, doc.Doc[Any]]) -> None:
    members["AudioSource"].docstring = doc.Module(media).members["AudioSource"].docstring
    facade = cast("doc.Class", members.pop("VoiceID"))
    facade.bases.clear()
    for methods in facade.inherited_members.values():
        facade.own_members.extend(methods)
    others = dict(members)
    members.clear()
    members.update({"VoiceID": facade, **others})


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
