"""The vector index: a cache of the centroids that can be thrown away at any time."""
