"""What ``python -c`` does, in a fork that has the product loaded."""

from __future__ import annotations

import json
import os
import sys

from torture.voices import warm_up

import voiceid.server.application  # noqa: F401 - and the service, which takes as long as the rest

for _name in [name for name in os.environ if name.startswith("VOICEID_")]:
    del os.environ[_name]  # of the test that is the first
warm_up()


def main() -> None:
    """Run the program that the command line holds."""
    _, folder, settings, program, *arguments = sys.argv
    os.chdir(folder)
    os.environ.update(json.loads(settings))
    sys.argv = ["-c", *arguments]
    exec(compile(program, "-c", "exec"), {"__name__": "__main__"})  # noqa: S102
