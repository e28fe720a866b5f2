"""The groups of speakers that searches were limited to, kept for the next search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voiceid.domain import tag
from voiceid.index.base import Ids, as_ids

if TYPE_CHECKING:  # FAISS and the store load when they are needed
    from voiceid.index.sealed import Mask, Sealed, View
    from voiceid.store import Reader

_KEPT = 16


@dataclass(slots=True)
class Group:
    """The centroids of a group: all, those that are not sealed, and a view of those that are."""

    ids: Ids
    flat: Ids | None = None
    view: View | None = None

    def divide(self, sealed: Sealed | None, gone: Mask) -> None:
        """Divide the members into those that are sealed, with a view of them, and the others."""
        self.flat = self.ids
        if sealed is not None:
            positions = sealed.positions(self.ids)
            self.view = sealed.view(positions)
            still = sealed.ids[positions[~gone[positions]]]
            self.flat = np.setdiff1d(self.ids, still, assume_unique=True)


class Groups:
    """The groups of an embedding space, in step with its index."""

    def __init__(self, space_id: str) -> None:
        self._space_id = space_id
        self._groups: dict[str, Group] = {}

    def get(self, reader: Reader, name: str) -> Group:
        """Return a group by its name."""
        key = tag("group", name)
        if key not in self._groups:
            if len(self._groups) >= _KEPT:
                del self._groups[next(iter(self._groups))]
            self._groups[key] = Group(as_ids(reader.centroids.group(key, self._space_id)))
        return self._groups[key]

    def follow(self, reader: Reader, changed: Ids) -> None:
        """Update the members among the centroids that changed."""
        for name, group in self._groups.items():
            members = as_ids(reader.centroids.group(name, self._space_id, changed.tolist()))
            if len(members) or np.isin(changed, group.ids).any():
                kept = np.setdiff1d(group.ids, changed, assume_unique=True)
                self._groups[name] = Group(np.union1d(kept, members))

    def clear(self) -> None:
        """Forget all groups."""
        self._groups.clear()
