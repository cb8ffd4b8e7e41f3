"""Response bodies that describe a job, for the client and the server."""

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


def job_urls(job: Job, base_url: str) -> dict[str, Any]:
    """Return the job's id and the URLs of its status and result at a server."""
    response_url = f"{base_url}/v2/requests/{job.id}"
    return {
        "request_id": job.id,
        "status_url": f"{response_url}/status",
        "response_url": response_url,
    }


def job_status(job: Job, base_url: str) -> dict[str, Any]:
    """Return a job's URLs, state, progress and metrics, and the error of a FAILED job."""
    body = {
        **job_urls(job, base_url),
        "status": job.state,
        "progress": {"done": job.done, "total": job.total},
        "metrics": dict(job.metrics),
    }
    return {**body, "error": job.error} if job.state == "FAILED" else body


def media_type(path: Path) -> str:
    """Return the media type (RFC 6838) of a result, from its suffix."""
    return _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
