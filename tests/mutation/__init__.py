"""Changes the program as a mistake would, and counts the tests that notice: `make mutate`.

``mutants/*.toml`` has the mistakes, each with the tests that guard the line: few and fast ones.
`trees` makes copies of the checkout to change, `runs` runs tests in them, and `mutants` reads the
list.  A mistake that no test notices has a ``reason``, or the run fails.
"""
