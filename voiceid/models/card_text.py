"""Model cards as TOML: what :func:`voiceid.models.cards.load_cards` reads.

Written here because the standard library only reads TOML.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields

from voiceid.decision.calibration import Calibration
from voiceid.decision.operating_points import OperatingPoint
from voiceid.models.cards import ModelCard


def card_text(card: ModelCard) -> str:
    """Return a card as TOML; keys at their defaults are left out."""
    plain, tables = [], []
    for of_card in fields(ModelCard):
        key, value = of_card.name, getattr(card, of_card.name)
        if key == "folder" or (of_card.default is not MISSING and value == of_card.default):
            continue
        if key == "operating_points":
            tables += point_tables(value)
        elif key == "calibration":
            tables += calibration_tables(value)
        elif isinstance(value, str | int | float):
            plain.append(f"{key} = {_literal(value)}")
        else:
            tables.append(_table(f"[{key}]", asdict(value)))
    return "\n\n".join(["\n".join(plain), *tables]) + "\n"


def point_tables(points: Sequence[OperatingPoint]) -> list[str]:
    """Return operating points as the tables of a card."""
    return [_table("[[operating_points]]", asdict(point)) for point in points]


def calibration_tables(calibration: Calibration) -> list[str]:
    """Return a calibration as the tables of a card."""
    facts = calibration.to_dict()
    lists = {key: facts.pop(key) for key in ("weights", "points")}
    return [
        _table("[calibration]", facts),
        *(_table(f"[[calibration.{key}]]", row) for key, rows in lists.items() for row in rows),
    ]


def _table(header: str, values: Mapping[str, object]) -> str:
    return "\n".join([header, *(f"{key} = {_literal(value)}" for key, value in values.items())])


def _literal(value: object) -> str:
    """Return a value in TOML, whose strings are JSON's except for the delete character."""
    if isinstance(value, tuple):
        rows = (", ".join(map(_literal, value[i : i + 6])) for i in range(0, len(value), 6))
        return "[\n" + "".join(f"    {row},\n" for row in rows) + "]"
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("\x7f", "\\u007f")
