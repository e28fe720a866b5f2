"""Writes docs/reference.md below its glossary: ``python -m docs.command_reference``.

Commands come from click's tree, exit codes from the classes of `voiceid.errors`, JSON from the
dataclasses, settings from config.yaml, events from `voiceid.observability`.
"""

from __future__ import annotations

import ast
import enum
import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import click

import voiceid
from voiceid import errors
from voiceid.cli import exit_codes
from voiceid.cli.root import PROGRAM, root
from voiceid.cli.tree import CommonOption
from voiceid.observability import event_log as events

REPO = Path(__file__).resolve().parents[1]
PAGE = REPO / "docs" / "reference.md"
MARK = "<!-- Generated below this line by `make docs`. Do not edit. -->\n"

_JSON = {
    "Questions": "Decision Candidate SpeakerRef QualityReport Embedding",
    "Who spoke when": "Diarization DiarizedVoice VoiceTurn VoiceLink",
    "Enrolment": "EnrollmentReport EnrollmentClip EnrollmentProblem",
    "Speakers and samples": "Speaker Sample Inspection Likeness Merge Split",
    "Evaluation, in report.json": "Evaluation voiceid.evaluation.evaluate:Identification"
    " voiceid.evaluation.acquisition:Acquisition"
    " voiceid.evaluation.report:Errors voiceid.evaluation.report:AtThresholds"
    " voiceid.evaluation.report:AtFmr voiceid.evaluation.llrs:Llrs voiceid.metrics:Rate"
    " voiceid.evaluation.attacks:Attacks voiceid.evaluation.attacks:Species"
    " voiceid.evaluation.attacks:Tandem",
    "Calibration and adaptation": "StoredCalibration Calibration Weight CalibratedPoint HeldOut"
    " Adapted StoredAdaptation ModelFit CountermeasureFit",
    "Upkeep": "SwitchStatus Finding GalleryStats SpaceStats voiceid.domain:FailedAttempts",
}
"""The classes whose JSON the commands print."""

_JSON_HEAD = """## JSON

With `--json` a command prints one object a line. `null` stands for None, times are ISO 8601.
The library returns objects of these names, whose attributes hold the same.
"""


def page() -> str:
    """Return the whole page: the glossary as it stands, and everything else generated."""
    glossary, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    sections = (_commands(), _exit_codes(), _json(), _settings(), _events())
    return glossary + MARK + "".join(f"\n{section.strip()}\n" for section in sections)


def _table(header: str, rows: Iterable[Sequence[str]]) -> str:
    names = header.split(" | ")
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    text = re.sub(r":\w+:`~?(?:voiceid\.)?([^`]+)`", r"`\1`", text.replace("``", "`"))
    return " ".join(text.split()).replace("|", "\\|")


def _leaves(
    command: click.Command, parent: click.Context | None, name: str
) -> Iterator[tuple[click.Context, click.Command]]:
    ctx = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    if not isinstance(command, click.Group):
        yield ctx, command
        return
    if parent is not None and command.invoke_without_command:
        yield ctx, command
    for word in command.list_commands(ctx):
        child = command.get_command(ctx, word)
        if child is not None and not child.hidden:
            yield from _leaves(child, ctx, word)


def _commands() -> str:
    parts = ["## Commands\n"]
    for ctx, command in _leaves(root, None, PROGRAM):
        usage = " ".join(command.collect_usage_pieces(ctx)).replace("[OPTIONS] ", "")
        parts.append(f"### {ctx.command_path}\n\n`{ctx.command_path} {usage}`".rstrip() + "\n")
        parts.append(_prose(command.help or ""))
        rows = _options(ctx, command, common=False)
        parts += [_table("option | what it does", rows)] if rows else []
        examples = "\n".join(getattr(command, "examples", ()))
        parts += [f"```sh\n{examples}\n```\n"] if examples else []
    rows = _options(click.Context(root, **root.context_settings), root, common=True)
    parts.append("### Common options\n\nThey may stand before the command or after it.\n")
    parts.append(_table("option | what it does", rows))
    return "\n".join(parts)


def _options(ctx: click.Context, command: click.Command, *, common: bool) -> list[tuple[str, ...]]:
    records = [
        record
        for param in command.get_params(ctx)
        if isinstance(param, click.Option)
        and isinstance(param, CommonOption) == common
        and "--help" not in param.opts
        and (record := param.get_help_record(ctx)) is not None
    ]
    return [(f"`{names.replace('|', '/')}`", text) for names, text in records]


def _prose(text: str) -> str:
    paragraphs = inspect.cleandoc(text).replace("\b\n", "").split("\n\n")
    return "\n\n".join("\n".join(textwrap.wrap(p, 110)) for p in paragraphs).strip() + "\n"


def _attribute_docs(owner: ModuleType | type) -> dict[str, str]:
    """Return the docstrings below the constants of a module, or the values of an enumeration."""
    [body] = [
        node.body
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(owner))))
        if isinstance(node, ast.Module if isinstance(owner, ModuleType) else ast.ClassDef)
    ]
    return {
        node.targets[0].id: inspect.cleandoc(text.value.value)
        for node, text in pairwise(body)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _exit_codes() -> str:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, Exception)]
    rows = {
        kind.exit_code: (f"`{kind.__name__}`", f"{inspect.getdoc(kind)}".splitlines()[0])
        for kind in kinds
        if issubclass(kind, errors.VoiceIDError)
    }
    rows |= {
        getattr(exit_codes, name): ("", text)
        for name, text in _attribute_docs(exit_codes).items()
        if name != "INTERNAL"
    }
    known = _attribute_docs(exit_codes)["INTERNAL"]
    rows[exit_codes.INTERNAL] = ("`VoiceIDError`", known)
    table = _table(
        "code | error | meaning", [(str(code), *row) for code, row in sorted(rows.items())]
    )
    return f"""## Exit codes

With `--json` an error prints `{{"error", "message", "hint", "exit_code"}}`. Of many clips the
worst decides. [door.md](door.md) says what a door does with each.

{table}"""


def _json() -> str:
    parts = [_JSON_HEAD]
    for title, paths in _JSON.items():
        parts.append(f"### {title}\n")
        for path in paths.split():
            module, _, name = path.rpartition(":")
            kind = getattr(import_module(module or "voiceid"), name)
            summary = f"{inspect.getdoc(kind)}".splitlines()[0]
            rows = [(f"`{key}`", *_described(of, key, value)) for of, key, value in _literal(kind)]
            parts += [f"#### {name}\n", f"{summary}\n", _table("key | type | what it is", rows)]
    return "\n".join(parts)


def _described(kind: type[Any], key: str, value: ast.expr | None) -> tuple[str, str]:
    """Return the type of a key of ``to_dict``, and what it is."""
    shown = "" if value is None else ast.unparse(value)
    first, *rest = _attribute_of(kind, key, shown).split(".")
    if shown.startswith("len("):
        return "int", f"How many {key.replace('_', ' ')} there are."
    of, text = _attribute(kind, first)
    inner = _class_of(kind, of)
    if inner is not None and issubclass(inner, enum.Enum):
        text = _parameters(kind).get(first, ("", ""))[1]
        return "str", f"{text} One of {', '.join(f'`{m.value}`' for m in inner)}."
    if rest and inner is not None:
        of_inner, text_inner = _attribute(inner, rest[0])
        none = " or None" if of.endswith("None") else ""
        return (
            of_inner + none,
            f"{text} {text_inner}" if text_inner else f"Of the {inner.__name__}.",
        )
    if not of and isinstance(value, ast.Name | ast.Constant):
        module = import_module(kind.__module__)
        constant: object = (
            value.value if isinstance(value, ast.Constant) else getattr(module, value.id)
        )
        return type(constant).__name__, f"Always `{constant!s}`."
    return of, text


def _literal(kind: type[Any]) -> Iterator[tuple[type[Any], str, ast.expr | None]]:
    """Yield the keys of what ``to_dict`` returns, each with its class and its value."""
    source = inspect.getsource(kind.to_dict) if hasattr(kind, "to_dict") else "asdict"
    parsed = ast.walk(ast.parse(textwrap.dedent(source)))
    answer = next((node.value for node in parsed if isinstance(node, ast.Return)), None)
    if isinstance(answer, ast.Call) and ast.unparse(answer.func) == "json_of":
        left_out = {one.value for one in answer.args if isinstance(one, ast.Constant)}
        values = {one.arg: one.value for one in answer.keywords if one.arg is not None}
        changed = {key: None if isinstance(v, ast.Name) else v for key, v in values.items()}
        names = dict.fromkeys([*kind.__dataclass_fields__, *changed])
        yield from ((kind, name, changed.get(name)) for name in names if name not in left_out)
        return
    if not isinstance(answer, ast.Dict):  # dataclasses.asdict
        yield from ((kind, name, None) for name in kind.__dataclass_fields__)
        return
    named = {key.value for key in answer.keys if isinstance(key, ast.Constant)}
    for key, value in zip(answer.keys, answer.values, strict=True):
        shown = ast.unparse(value)
        if isinstance(key, ast.Constant):
            yield kind, str(key.value), value
        elif shown == "asdict(self)":
            yield from (
                (kind, name, None) for name in kind.__dataclass_fields__ if name not in named
            )
        elif found := re.fullmatch(r"self\.(\w+)\.to_dict\(\)", shown):
            inner = _class_of(kind, _attribute(kind, found[1])[0])
            yield from _literal(inner) if inner else ()


def _attribute_of(kind: type[Any], key: str, shown: str) -> str:
    """Return ``threshold.source`` of an expression that shows ``self.threshold.source``."""
    chains = re.findall(r"(?:\bself\.)?\b([a-z_]\w*(?:\.\w+)*)", shown)
    chains = [re.sub(r"\.(to_dict|isoformat|items|get|shape)$", "", chain) for chain in chains]
    known = [chain for chain in chains if _has(kind, chain.partition(".")[0])]
    same = [chain for chain in known if chain == key]
    return next(iter([*same, *known[::-1]]), key)


def _has(kind: type[Any], name: str) -> bool:
    return name in kind.__dataclass_fields__ or hasattr(kind, name)


def _attribute(kind: type[Any], name: str) -> tuple[str, str]:
    """Return the type and the description of a field, a property or a method without arguments."""
    if name in (parameters := _parameters(kind)):
        return parameters[name]
    if name in kind.__dataclass_fields__:
        return str(kind.__dataclass_fields__[name].type), ""
    member = getattr(kind, name, None)
    returns = getattr(getattr(member, "fget", member), "__annotations__", {}).get("return", "")
    return str(returns), f"{inspect.getdoc(member) or ''}".partition("\n\n")[0] if returns else ""


def _class_of(kind: type[Any], of: str) -> type[Any] | None:
    """Return the class of voiceid that a type names."""
    for word in re.findall(r"[A-Z]\w+", of):
        module = import_module(kind.__module__)
        found = getattr(module, word, None) or getattr(voiceid, word, None)
        if isinstance(found, type) and found.__module__.startswith("voiceid"):
            return found
    return None


def _parameters(kind: type[Any]) -> dict[str, tuple[str, str]]:
    """Return the type and the description of each parameter in a NumPy docstring."""
    _, _, section = f"{inspect.getdoc(kind)}".partition("Parameters\n----------\n")
    section = re.split(r"\n\n\w+\n-+\n", section)[0]
    entry = re.compile(r"^(\w[\w, ]*?)(?: : (.+))?\n((?:[ \n].*\n?)*)", re.MULTILINE)
    return {
        name.strip(): (of, " ".join(text.split()))
        for names, of, text in entry.findall(section + "\n")
        for name in names.split(",")
    }


def _settings() -> str:
    text = (REPO / "config.yaml").read_text(encoding="utf-8")
    return f"""## Settings

`config.yaml` in the home folder, as `voiceid config init` writes it. The home is `--home`, else
`$VOICEID_HOME`, else the checkout of voiceid that runs, if the current folder lies in it, else the
user's data folder. `voiceid config show` prints each value and where it came from.

```yaml
{text.strip()}
```"""


def _events() -> str:
    keys = [(f"`{event}`", ", ".join(f"`{k}`" for k in ks)) for event, ks in events.KEYS.items()]
    kinds = _attribute_docs(events.ChangeKind)
    changes = [(f"`{events.ChangeKind[name].value}`", text) for name, text in kinds.items()]
    return f"""## Events

Every event also has `time`, `level`, `event`, `pid`, `uid` and `command`.
[observing.md](observing.md) says what each key is.

{_table("event | keys", keys)}
{_table("kind of change | what was done", changes)}"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
