"""The programs that `benchmarks.speed` starts and times, each in a process of its own."""
