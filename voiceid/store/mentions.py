"""Records about a person beside their rows: attempts, jobs and answers that name them."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Select, func, select

from voiceid.domain import Speaker, speaker_key
from voiceid.store.job_table import job_place
from voiceid.store.snapshot import Rows
from voiceid.store.tables import (
    attempts,
    centroids,
    challenges,
    fingerprints,
    jobs,
    kept_answers,
    samples,
    spoken_words,
)


class Mentions(Rows):
    """Reads these records."""

    def attempts(self, name: str) -> list[dict[str, Any]]:
        """Return the failed attempts to be accepted under a name, oldest first."""
        query = select(attempts.c.failed_at, attempts.c.caller).order_by(attempts.c.id)
        return self._claims(name, query)

    def codes(self, name: str) -> list[dict[str, Any]]:
        """Return who asked for the codes that wait under a name, and until when; not the words."""
        until = challenges.c.expires_at
        return self._claims(name, select(challenges.c.caller, until).order_by(until))

    def _claims(self, name: str, query: Select[Any]) -> list[dict[str, Any]]:
        its = query.filter_by(name_key=self._protection.name_key(speaker_key(name)))
        return [dict(row) for row in self._connection.execute(its).mappings()]

    def jobs(self, name: str) -> list[dict[str, Any]]:
        """Return the jobs that have the name in their request or result, and in which."""
        naming = []
        for row in self._connection.execute(select(jobs).order_by(jobs.c.created_at)):
            places = [
                column
                for column in ("request", "result")
                if _has(self._protection.text(getattr(row, column), *job_place(column, row)), name)
            ]
            if places:
                facts = {"id": row.id, "kind": row.kind, "state": row.state}
                naming.append({**facts, "created_at": row.created_at, "named_in": places})
        return naming

    def answers(self, name: str) -> list[dict[str, Any]]:
        """Return the kept answers that have the name."""
        query = select(kept_answers).where(kept_answers.c.answer.is_not(None))
        return [
            {"caller": row.caller, "created_at": row.created_at}
            for row in self._connection.execute(query.order_by(kept_answers.c.created_at))
            for place in [("kept answer", row.caller, row.key_sha256)]
            if _has(self._protection.text(row.answer, *place), name)
        ]

    def vectors(self, speaker: Speaker) -> list[bytes]:
        """Return the vectors of a speaker's samples and centroids, as stored."""
        stored: list[bytes] = []
        for table in (samples, centroids):
            query = select(table.c.vector).where(table.c.speaker_id == speaker.id)
            stored += self._connection.execute(query).scalars()
        return stored

    def fingerprints(self, speaker: Speaker) -> list[bytes]:
        """Return the fingerprints of a speaker as they are stored."""
        query = select(fingerprints.c.words).where(fingerprints.c.speaker_id == speaker.id)
        return list(self._connection.execute(query).scalars())

    def rows_of(self, speaker_id: int) -> int:
        """Return how many rows of samples, centroids, fingerprints and words a speaker has."""
        return sum(
            int(self._connection.execute(query).scalar_one())
            for table in (samples, centroids, fingerprints, spoken_words)
            for query in [
                select(func.count()).select_from(table).where(table.c.speaker_id == speaker_id)
            ]
        )


def _has(text: str | None, name: str) -> bool:
    """Return whether a text or part of a path in JSON is a name, ignoring case."""
    if not text:
        return False
    key = speaker_key(name)
    parts = (part for value in _texts(text) for part in value.split("/"))
    return any(" ".join(part.split()).casefold() == key for part in parts)


def _texts(text: str) -> list[str]:
    try:
        waiting: list[Any] = [json.loads(text)]
    except ValueError:
        return [text]
    texts: list[str] = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            texts += [value, *value.splitlines()]
            texts += [cell for line in value.splitlines() for cell in line.split(",")]
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
    return texts
