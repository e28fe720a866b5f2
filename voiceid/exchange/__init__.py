"""Speakers from one gallery to another, and embeddings that were made elsewhere.

`gallery_file` is this project's own file of exported speakers; `embedding_file` reads an array of
NumPy with a list of names, and `parquet_file` a table of Parquet.  All of them end in `adding`.
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
