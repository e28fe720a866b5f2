"""Short programs on real speech: what README.md shows, and what the tests run."""
