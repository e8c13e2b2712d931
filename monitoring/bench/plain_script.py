"""The yardstick of `pipeline`: a file of calls, made one after the other with one session; prints the seconds."""

import json
import sys
import time
from pathlib import Path

import requests


def main() -> None:
    calls = json.loads(Path(sys.argv[1]).read_text())
    with requests.Session() as session:
        started = time.perf_counter()
        for call in calls:
            answer = session.request(
                call["method"],
                call["url"],
                params=call["params"],
                headers=call["headers"],
                data=call["body"].encode("latin-1"),
                timeout=10,
            )
            if answer.content and "json" in answer.headers.get("Content-Type", ""):
                answer.json()
        sys.stdout.write(f"{time.perf_counter() - started}\n")


if __name__ == "__main__":
    main()
