from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from voiceid import errors
from voiceid.cli import exit_codes


def _tree(root: type[errors.VoiceIDError]) -> Iterator[type[errors.VoiceIDError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


ERRORS = list(_tree(errors.VoiceIDError))
OF_COMMANDS = {name: value for name, value in vars(exit_codes).items() if name.isupper()}


def test_every_error_class_has_an_exit_code_of_its_own() -> None:
    twice = [code for code, n in Counter(e.exit_code for e in ERRORS).items() if n > 1]
    assert twice == []
    assert all("exit_code" in vars(error) for error in ERRORS)


def test_exit_codes_of_errors_begin_at_20_and_stay_below_those_of_signals() -> None:
    assert all(20 <= error.exit_code < 126 for error in ERRORS)


def test_exit_codes_of_the_command_line_are_distinct_from_those_of_errors() -> None:
    assert len(set(OF_COMMANDS.values())) == len(OF_COMMANDS)
    shared = set(OF_COMMANDS.values()) & {error.exit_code for error in ERRORS}
    assert shared == {errors.VoiceIDError.exit_code}  # an internal error is of no class
