"""What must hold of a gallery, looked at through `VoiceID` by a process."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from torture.changes import Gallery, Known
from torture.voices import DIM, centroid, clip_of, new_clips, opened, vector
from voiceid import EmbeddedClip, VoiceID

_TOLERANCE = 1e-5
_ASKED = 20
_K = 5


def serve(orders: Connection, say: Connection, data: Path) -> None:
    """Look whenever asked, with one `VoiceID` that stays open through all crashes of others."""
    vid = opened(data)
    while orders.poll(None):
        say.send(("seen", *seen(vid, orders.recv())))


def look(_: Connection, say: Connection, data: Path, seed: int) -> None:
    """Look once, as a process that has just started."""
    vid = opened(data)
    say.send(("seen", *seen(vid, seed)))
    vid.close()


def seen(vid: VoiceID, seed: int) -> tuple[Gallery, list[str]]:
    """Return who is enrolled, and everything that is wrong."""
    faults = vid.database.check() if vid._session.has_database else []
    faults += vid.audit.verify().problems
    gallery = {}
    for speaker, samples in vid.samples.by_speaker():
        clips = frozenset(clip_of(sample.pcm_sha256) for sample in samples)
        gallery[speaker.name] = Known(clips, dict(speaker.metadata))
        if not samples or len(samples) != speaker.n_samples or len(clips) != len(samples):
            faults.append(f"half a speaker: {speaker}, {len(samples)} samples")
        faults += [
            f"the vector of a sample of {speaker.name} is not that of its clip"
            for sample in samples
            if not np.array_equal(sample.vector, vector(clip_of(sample.pcm_sha256)))
        ]
    return gallery, faults + Truth.of(gallery).wrong_answers(vid, seed)


@dataclass(frozen=True)
class Truth:
    """Exact search, in float64, over centroids that are computed from the numbers of the clips.

    Neither the index nor the rows of the database have a part in it.
    """

    gallery: Gallery
    names: list[str]
    centroids: np.ndarray

    @classmethod
    def of(cls, gallery: Gallery) -> Truth:
        names = sorted(name for name, known in gallery.items() if known.clips)
        rows = [centroid(gallery[name].clips) for name in names]
        return cls(gallery, names, np.array(rows).reshape(-1, DIM))

    def wrong_answers(self, vid: VoiceID, seed: int, n: int = _ASKED) -> list[str]:
        """Search for some who are enrolled and some who are not; compare."""
        rng = np.random.default_rng(seed)
        chosen = [self.names[i] for i in rng.permutation(len(self.names))[:n]]
        clips = [min(self.gallery[name].clips) for name in chosen] + new_clips(rng, 3)
        return [fault for clip in clips if (fault := self._fault(vid, vector(clip)))]

    def _fault(self, vid: VoiceID, query: np.ndarray) -> str | None:
        found = vid.search(EmbeddedClip(query, vid.models.space), k=_K)
        cosines = (self.centroids @ query.astype(np.float64)).tolist()
        exact = dict(zip(self.names, cosines, strict=True))
        best = sorted(exact.values(), reverse=True)[:_K]
        scores = [one.score for one in found]
        owners = [exact.get(one.speaker.name, np.nan) for one in found]
        # By scores and not by names: any of those with one score may come first.
        if len(found) == len(best) and np.allclose([scores, owners], [best, best], atol=_TOLERANCE):
            return None
        return f"a search found {[(one.speaker.name, one.score) for one in found]}, exact {best}"
