"""An engine that answers every request with the lines of its first argument, whatever they say."""

from __future__ import annotations

import json
import sys

hello = {"id": 0, "kind": "done", "generation": 0, "data": {"protocol": 1}, "arrays": {}}
sys.stdout.write(json.dumps(hello) + "\n")
sys.stdout.flush()
for line in sys.stdin:
    request = json.loads(line)
    if request["verb"] == "shutdown":
        break
    if request["verb"] in ("hello", "release", "cancel"):
        continue
    for answer in json.loads(sys.argv[1]):
        if isinstance(answer, str):
            sys.stdout.write(answer)
        else:
            content = {"id": request["id"], "generation": request["generation"], "arrays": {}, "data": {}}
            sys.stdout.write(json.dumps({**content, **answer}) + "\n")
        sys.stdout.flush()
