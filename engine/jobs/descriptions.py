"""What is told of a job: the bodies that the client and the server answer with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from engine.jobs.job_store import Job

_MEDIA_TYPES: Final = {
    ".avi": "video/x-msvideo",
    ".flv": "video/x-flv",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".m2ts": "video/mp2t",
    ".m4v": "video/mp4",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".mts": "video/mp2t",
    ".png": "image/png",
    ".ts": "video/mp2t",
    ".webm": "video/webm",
    ".webp": "image/webp",
}


def addresses(job: Job, here: str) -> dict[str, Any]:
    """What a job is called by, at a server whose address is `here`."""
    response_url = f"{here}/v2/requests/{job.id}"
    return {
        "request_id": job.id,
        "status_url": f"{response_url}/status",
        "response_url": response_url,
    }


def status(job: Job, here: str) -> dict[str, Any]:
    """How far a job is, and why it failed if it did."""
    body = {
        **addresses(job, here),
        "status": job.state,
        "progress": {"done": job.done, "total": job.total},
        "metrics": dict(job.metrics),
    }
    return {**body, "error": job.error} if job.state == "FAILED" else body


def media_type(path: Path) -> str:
    """The media type (RFC 6838) of a result, by its name."""
    return _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
