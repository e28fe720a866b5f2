"""The secret rotation of a gallery's vectors.

An orthogonal matrix keeps every cosine, so a gallery decides as before; vectors under two
matrices match only by chance, so a stolen gallery cannot be compared with another one.  It is not
encryption: a person who has the matrix, or as many pairs of plain and rotated vectors as there are
dimensions, can reverse it.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.protection.ciphers import Key

Matrix: TypeAlias = npt.NDArray[np.float64]

_WORD_BYTES = 8
_FRACTION_BITS = 53
"""The precision of a float64."""


def rotation(key: Key, space_id: str, dim: int) -> Matrix:
    """Return the orthogonal matrix (dim, dim), float64, of a key for an embedding space.

    It is drawn uniformly from all (Haar measure): the Q of a matrix of independent normal
    numbers, with the signs of R's diagonal (Mezzadri, "How to generate random matrices from the
    classical compact groups", 2007).  The normal numbers come from the key's stream by Box
    and Muller (1958), so that the result does not depend on the generator of a library.
    """
    n = dim * dim
    words = np.frombuffer(key.stream(2 * n * _WORD_BYTES, "rotation", space_id, dim), "<u8")
    uniform = (words >> np.uint64(64 - _FRACTION_BITS)) * 2.0**-_FRACTION_BITS
    radius, angle = np.sqrt(-2 * np.log1p(-uniform[:n])), 2 * np.pi * uniform[n:]
    q, r = np.linalg.qr((radius * np.cos(angle)).reshape(dim, dim))
    turned: Matrix = q * np.sign(np.diag(r))
    return turned
