"""An engine that misbehaves in the way its first argument says; standard library only."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

mode = sys.argv[1]
lock = threading.Lock()


def say(**content: Any) -> None:
    with lock:
        sys.stdout.write(json.dumps({"generation": 0, "data": {}, "arrays": {}, **content}) + "\n")
        sys.stdout.flush()


def answer(request: dict[str, Any]) -> None:
    back = {"id": request["id"], "generation": request["generation"]}
    if mode == "dies":
        sys.stderr.write("Traceback: the graphics card is gone\n")
        sys.stderr.flush()
        sys.exit(3)
    if mode == "garbage":
        sys.stdout.write("this is no json\n{}\n[1]\n" + "\0\n")
        sys.stdout.write(
            json.dumps({"id": request["id"], "kind": "wonder"}).replace("wonder", "nonsense")[:20] + "\n"
        )
        say(id=9999, kind="done")
        say(**{**back, "generation": back["generation"] + 7}, kind="done", data={"stale": True})
        line = json.dumps({**back, "kind": "done", "data": {"models": [{"id": "m"}, 5, {}]}, "arrays": {}})
        for part in (line[:9], line[9:] + "\n"):  # half messages
            sys.stdout.write(part)
            sys.stdout.flush()
            time.sleep(0.05)
    elif mode == "slow":
        for index in range(1000):
            say(**back, kind="event", data={"event": "progress", "done": index, "total": 1000})
            time.sleep(0.02)
    elif mode in ("deaf", "silent"):
        time.sleep(60)
    elif mode == "half":
        sys.stdout.write(json.dumps({**back, "kind": "done", "data": {"models": []}})[:40])
        sys.stdout.flush()
        os._exit(1)
    elif mode == "endless":
        while True:
            sys.stdout.write("x" * 65536)
            sys.stdout.flush()
    elif mode == "liar":
        spec = {"shape": [4, 4], "dtype": "uint8", "memory": "no_such_memory"}
        say(**back, kind="done", arrays={"labels": spec})
    else:
        say(**back, kind="done", data={"models": [{"id": "m", "name": "M"}]})


if mode != "silent":
    say(id=0, kind="done", data={"protocol": 1})
for line in sys.stdin:
    got = json.loads(line)
    if got["verb"] == "shutdown":
        break
    if got["verb"] in ("hello", "release", "cancel"):
        continue
    if mode in ("slow", "deaf"):
        threading.Thread(target=answer, args=(got,), daemon=True).start()
    else:
        answer(got)
