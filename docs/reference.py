"""Builds the reference of the library from the docstrings: ``python -m docs.reference FOLDER``.

pdoc renders one page, of what `voiceid` exports, with `VoiceID` and its collections at the top.
What pdoc cannot know is added here:

- A name is there once it has been asked for (PEP 562).
- The collections are not exported: a program reaches them through `VoiceID`.
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
from voiceid import client, resources
from voiceid.audio import media
from voiceid.resources import (
    adaptations,
    calibrations,
    database,
    events,
    index,
    models,
    samples,
    speakers,
    switch,
)

COLLECTIONS = (
    speakers.Speakers,
    samples.Samples,
    calibrations.Calibrations,
    adaptations.Adaptations,
    models.Models,
    switch.Switch,
    database.Database,
    index.Index,
    events.Events,
)

_INTERNAL = (("Config", "hearing"), ("ModelCard", "rule"))
"""Methods for the package itself: they return what is not exported."""


_KEYWORDS = ("IdentifyKeywords", "VerifyKeywords", "ListenKeywords")
"""Dictionaries that say which keywords a method takes; its docstring says where they are."""


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
    for name in vars(voiceid)["__all__"]:  # the stub has none
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
        ("AudioSource", "voiceid", (client, resources.models)),
        ("ArrayLike", "numpy.typing", (npt,)),
        ("LiveSourceName", "voiceid", (client,)),
        *((name, "voiceid", (client,)) for name in _KEYWORDS),
    ):
        stand_in = type(alias, (), {"__module__": module})
        for user in users:
            setattr(user, alias, stand_in)


def _complete(members: dict[str, doc.Doc[Any]]) -> None:
    for kind, name in _INTERNAL:
        cast("doc.Class", members[kind]).members[name].docstring = "@private"
    members["AudioSource"].docstring = doc.Module(media).members["AudioSource"].docstring
    first: dict[str, doc.Doc[Any]] = {"VoiceID": members.pop("VoiceID")}
    for collection in COLLECTIONS:
        place = (collection.__module__, collection.__qualname__)
        first[collection.__name__] = doc.Class("voiceid", collection.__name__, collection, place)
    for entry in (*first.values(), *members.values()):
        if isinstance(entry, doc.Class):  # bases that are not exported have no entry to link to
            public = [base for base in entry.bases if not base[0].startswith("voiceid.")]
            vars(entry)["bases"] = public
    others = dict(members)
    members.clear()
    members.update({**first, **others})


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
