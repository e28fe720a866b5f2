"""The vector index: a cache of the centroids that can be thrown away at any time."""

import logging

logging.getLogger("faiss").setLevel(logging.WARNING)  # it tells at each start which CPU it found
