"""How large the parts of the package are: `python -m benchmarks.sizes`; tests hold the limits."""

from __future__ import annotations

import ast
import collections
import importlib
import inspect
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "voiceid"

_NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


@dataclass(frozen=True)
class Sizes:
    """The measurements: names with their numbers, the largest first."""

    functions: list[tuple[str, int]]
    methods: list[tuple[str, int]]
    files: list[tuple[str, int]]
    duplicate_names: list[str]

    @property
    def lines(self) -> int:
        """Lines of the package."""
        return sum(n for _, n in self.files)

    @property
    def function_p90(self) -> int:
        """Code lines that 90 % of the functions do not exceed."""
        sizes = sorted(n for _, n in self.functions)
        return sizes[int(0.9 * (len(sizes) - 1))]


def measure() -> Sizes:
    """Return the sizes of the package as it stands."""
    functions, methods, files = [], [], []
    names = collections.Counter[str]()
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        where = str(path.relative_to(PACKAGE))
        files.append((where, text.count("\n")))
        names[path.stem] += not path.stem.startswith("__")
        code = _code_lines(text)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                span = range(node.body[0].lineno, (node.end_lineno or 0) + 1)
                functions.append((f"{where}:{node.name}", len(code.intersection(span))))
            if isinstance(node, ast.ClassDef):
                n = len({part.name for part in node.body if isinstance(part, ast.FunctionDef)})
                methods.append((f"{where}:{node.name}", n))

    def largest(rows: list[tuple[str, int]]) -> list[tuple[str, int]]:
        return sorted(rows, key=lambda row: (-row[1], row[0]))

    twice = sorted(name for name, n in names.items() if n > 1)
    return Sizes(largest(functions), largest(methods), largest(files), twice)


def classes() -> Iterator[type]:
    """Yield every class of the package that its modules define."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.stem == "__main__":
            continue
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        yield from (
            found
            for _, found in inspect.getmembers(module, inspect.isclass)
            if found.__module__ == module.__name__
        )


def own_depth(found: type) -> int:
    """Return how many classes of the package stand in a class's method resolution order."""
    return sum(parent.__module__.startswith("voiceid") for parent in found.__mro__)


def _code_lines(text: str) -> set[int]:
    """Return the numbers of the lines that hold code: no comments, blank lines or docstrings."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for part in body if isinstance(body, list) else []:
            if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
                lines.difference_update(range(part.lineno, (part.end_lineno or 0) + 1))
    return lines


def main() -> None:
    """Print the sizes."""
    from voiceid import VoiceID  # noqa: PLC0415 - the sizes of files need no import

    sizes = measure()
    public = [name for name in dir(VoiceID) if not name.startswith("_")]
    print(f"lines in voiceid/: {sizes.lines}, in {len(sizes.files)} files")
    print(f"public members of VoiceID: {len(public)}: {', '.join(public)}")
    print(f"code lines of a function: 90th percentile {sizes.function_p90}")
    for title, rows in (
        ("functions, code lines", sizes.functions),
        ("classes, methods", sizes.methods),
        ("files, lines", sizes.files),
    ):
        print(f"\nlargest {title}:")
        for name, n in rows[:8]:
            print(f"  {n:5}  {name}")
    deepest = sorted(classes(), key=lambda found: -own_depth(found))[:5]
    print("\ndeepest classes, our own in the method resolution order:")
    for found in deepest:
        print(f"  {own_depth(found):5}  {found.__module__}.{found.__name__}")
    print(f"\nfile names that come twice: {', '.join(sizes.duplicate_names) or 'none'}")


if __name__ == "__main__":
    main()
