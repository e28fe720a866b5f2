"""The limits of the load of a service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Limits of one process of the service.

    - `max_body_bytes`: of a request; more is refused before it is decoded.
    - `max_clips`: recordings in one request.
    - `max_waiting`: requests that wait for a processor; more are refused at once.
    - `max_wait_s`: a request that has waited this long for one is refused.
    - `max_streams`: live streams at once, and clients that watch decisions.
    - `max_jobs`: jobs that wait; more are refused.
    - `max_job_clips`: recordings in the request of a job.
    - `job_kept_s`: how long a job that is over can be asked for.
    - `max_connections`: open at once; a request on a further one is refused.
    - `stall_timeout_s`: a request that sends no bytes for this long is ended.
    """

    max_body_bytes: int = 64 << 20
    max_clips: int = 50
    max_waiting: int = 8
    max_wait_s: float = 1.0
    max_streams: int = 16
    max_connections: int = 500
    max_jobs: int = 16
    max_job_clips: int = 1000
    job_kept_s: float = 86400.0
    stall_timeout_s: float = 10.0
