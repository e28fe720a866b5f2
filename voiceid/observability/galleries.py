"""What is in a gallery, and how its files stand: facts that any process can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from voiceid.observability.exposition import Family, text


@dataclass(frozen=True, slots=True)
class SpaceStats:
    """One embedding space of a gallery.

    Parameters
    ----------
    space : str
        Its id.
    in_use : bool
        Whether it is that of the model and the speech settings in use.
    speakers, samples : int
        Enrolled in it; an adapted space has speakers, whose samples are of the model's.
    calibration, adaptation : int or None
        The number of what decides in it.
    index_state : str
        See :class:`IndexStatus`.
    index_bytes : int
        Size of the index file; 0 without one.
    """

    space: str
    in_use: bool
    speakers: int
    samples: int
    calibration: int | None
    adaptation: int | None
    index_state: str
    index_bytes: int


@dataclass(frozen=True, slots=True)
class GalleryStats:
    """What is in a gallery, at one moment.

    Parameters
    ----------
    model : str
        The encoder in use.
    schema : str or None
        Revision of the database's schema; None: there is no database yet.
    revision : int
        Newest point of the change feed: it grows with every change of a voice.
    speakers : int
    standing : mapping of str to int
        Speakers by :class:`Standing`.
    groups : mapping of str to int
        Members of each group.
    spaces : tuple of SpaceStats
        Every embedding space that was ever enrolled in.
    database_bytes : int
        With its write-ahead log.
    """

    model: str
    schema: str | None
    revision: int
    speakers: int
    standing: Mapping[str, int]
    groups: Mapping[str, int]
    spaces: tuple[SpaceStats, ...]
    database_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)

    def to_prometheus(self) -> str:
        """Return Prometheus text, version 0.0.4: gauges, for a file that is collected."""
        return text([*self._of_all(), *self._of_spaces()])

    def _of_all(self) -> list[Family]:
        return [
            Family("voiceid_model_info", "gauge", "The encoder in use.").of(
                [({"model": self.model}, 1)]
            ),
            Family("voiceid_schema_info", "gauge", "Revision of the database's schema.").of(
                [] if self.schema is None else [({"schema": self.schema}, 1)]
            ),
            Family("voiceid_revision", "gauge", "Newest point of the change feed.").of(
                [({}, self.revision)]
            ),
            Family("voiceid_database_bytes", "gauge", "Size of the database with its log.").of(
                [({}, self.database_bytes)]
            ),
            Family("voiceid_standing_speakers", "gauge", "Speakers, by how they stand.").of(
                ({"standing": name}, count) for name, count in self.standing.items()
            ),
            Family("voiceid_group_speakers", "gauge", "Members of each group.").of(
                ({"group": name}, count) for name, count in self.groups.items()
            ),
        ]

    def _of_spaces(self) -> list[Family]:
        def gauge(name: str, told: str, values: Mapping[str, float | None]) -> Family:
            given = ((space, value) for space, value in values.items() if value is not None)
            return Family(name, "gauge", told).of(({"space": s}, value) for s, value in given)

        each = {one.space: one for one in self.spaces}
        return [
            gauge(
                "voiceid_speakers",
                "Enrolled speakers.",
                {key: one.speakers for key, one in each.items()},
            ),
            gauge("voiceid_samples", "Samples.", {key: one.samples for key, one in each.items()}),
            gauge(
                "voiceid_space_in_use",
                "Whether the model and the settings in use make it.",
                {key: int(one.in_use) for key, one in each.items()},
            ),
            gauge(
                "voiceid_calibration_in_use",
                "Number of the calibration that decides.",
                {key: one.calibration for key, one in each.items()},
            ),
            gauge(
                "voiceid_adaptation_in_use",
                "Number of the adaptation that decides.",
                {key: one.adaptation for key, one in each.items()},
            ),
            gauge(
                "voiceid_index_bytes",
                "Size of the index file.",
                {key: one.index_bytes for key, one in each.items()},
            ),
            Family("voiceid_index_state_info", "gauge", "How the index file stands.").of(
                ({"space": one.space, "state": one.index_state}, 1) for one in self.spaces
            ),
        ]
