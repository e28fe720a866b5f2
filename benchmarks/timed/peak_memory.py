"""Peak memory of a command: the largest resident set, in MiB, printed on standard output.

    python peak_memory.py COMMAND...

The system counts a child's memory from its fork on, when it still is its parent, so the
command is started from this small program and not from a large one.
"""

import resource
import subprocess
import sys

subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))  # macOS counts in bytes
