"""Speakers from one gallery to another, and embeddings that were made elsewhere.

`gallery_file` is this project's own format; `embedding_file` reads arrays of NumPy and Parquet.
"""

from voiceid.exchange.adding import Exchanged
from voiceid.exchange.embedding_file import EmbeddingFacts, import_embeddings, is_embedding_file
from voiceid.exchange.gallery_file import export, import_

__all__ = [
    "EmbeddingFacts",
    "Exchanged",
    "export",
    "import_",
    "import_embeddings",
    "is_embedding_file",
]
