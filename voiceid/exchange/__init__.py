"""Export and import of speakers, and import of embeddings from other programs.

`gallery_file` is this project's own format; `embedding_file` reads NumPy arrays and Parquet.
"""

from voiceid.exchange.adding import Exchanged
from voiceid.exchange.embedding_file import EmbeddingFacts, is_embedding_file, read_embeddings
from voiceid.exchange.gallery_file import Guard, export, is_sealed, read_gallery
from voiceid.exchange.sealed_speakers import SealedSpeakers

__all__ = [
    "EmbeddingFacts",
    "Exchanged",
    "Guard",
    "SealedSpeakers",
    "export",
    "is_embedding_file",
    "is_sealed",
    "read_embeddings",
    "read_gallery",
]
