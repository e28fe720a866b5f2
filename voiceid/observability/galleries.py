"""The contents of a gallery and the state of its files: facts that any process can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from voiceid.observability.prometheus import gauge, text

if TYPE_CHECKING:
    from prometheus_client.core import Metric


@dataclass(frozen=True, slots=True)
class SpaceStats:
    """One embedding space of a gallery.

    Parameters
    ----------
    space : str
        Its id.
    in_use : bool
        Whether it is the space of the model and the speech settings in use.
    speakers, samples : int
        Enrolled in it; an adapted space has speakers, but their samples are in the model's space.
    calibration, adaptation : int or None
        The number of the one in use in it.
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
    """The contents of a gallery at one moment.

    Parameters
    ----------
    model : str
        The encoder in use.
    schema : str or None
        Revision of the database's schema; None: there is no database yet.
    revision : int
        Newest position of the change feed: it grows with every change of a voice.
    standing : mapping of str to int
        Speakers by :class:`Standing`.
    groups : mapping of str to int
        Members of each group.
    spaces : tuple of SpaceStats
        Every embedding space with an enrolment, now or earlier.
    database_bytes : int
        Includes the write-ahead log.
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
        """Return Prometheus text, version 0.0.4: gauges, for a textfile collector."""
        return text([*self._of_all(), *self._of_spaces()])

    def _of_all(self) -> Iterator[Metric]:
        schema = {} if self.schema is None else {(self.schema,): 1}
        yield gauge("model_info", "The encoder in use.", {(self.model,): 1}, "model")
        yield gauge("schema_info", "Revision of the database's schema.", schema, "schema")
        yield gauge("revision", "Newest point of the change feed.", {(): self.revision})
        yield gauge(
            "database_bytes", "Size of the database with its log.", {(): self.database_bytes}
        )
        standing = {(name,): count for name, count in self.standing.items()}
        yield gauge("standing_speakers", "Speakers, by how they stand.", standing, "standing")
        groups = {(name,): count for name, count in self.groups.items()}
        yield gauge("group_speakers", "Members of each group.", groups, "group")

    def _of_spaces(self) -> Iterator[Metric]:
        for name, field, description in (
            ("speakers", "speakers", "Enrolled speakers."),
            ("samples", "samples", "Samples."),
            ("space_in_use", "in_use", "Whether the model and the settings in use make it."),
            ("calibration_in_use", "calibration", "Number of the calibration that decides."),
            ("adaptation_in_use", "adaptation", "Number of the adaptation that decides."),
            ("index_bytes", "index_bytes", "Size of the index file."),
        ):
            values = {(space.space,): getattr(space, field) for space in self.spaces}
            present = {labels: value for labels, value in values.items() if value is not None}
            yield gauge(name, description, present, "space")
        states = {(space.space, space.index_state): 1 for space in self.spaces}
        yield gauge("index_state_info", "How the index file stands.", states, "space", "state")
