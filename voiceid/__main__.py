"""``python -m voiceid``: the command line."""

import sys

from voiceid.cli import main

if __name__ == "__main__":
    sys.exit(main())
