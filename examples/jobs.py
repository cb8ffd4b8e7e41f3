"""Submit a swap as a job of the hosted API, and wait for it; nothing leaves this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")


def main() -> None:
    with engine.SegmindClient() as client:
        job = client.submit_async(
            "ai-face-swap",
            source_image=str(PEOPLE / "source.jpg"),
            target=str(PEOPLE / "target.jpg"),
        )
        print(f"submitted {job.request_id}")
        result = job.wait(timeout=300, interval=0.2)
    print(f"done: {result['output']}")


# Jobs run in child processes, which import this file.
if __name__ == "__main__":
    main()
