"""``python -m voiceid``: the command line."""

from voiceid.cli import program

if __name__ == "__main__":
    program()
