"""A trainer without networks: keeps a run folder as the real one does, in a process that starts at once.

What it does follows from the model's category: ``long`` trains until it is asked, ``lingers`` does too and
takes a while to end, ``broken`` fails before it begins, ``slow`` takes a while to take hold of its folder,
anything else ends after a few steps.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

from coordgan_core.config import Config
from coordgan_core.training import events as ev
from coordgan_core.training.run import RunFolder, RunSettings, RunStatus

TOTAL = 40


def option(name: str, otherwise: str = "") -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else otherwise


def main() -> int:
    verb = sys.argv[1]
    if verb == "train":
        kind, run = option("--category"), Path(option("--run"))
        if kind == "broken":
            sys.stderr.write("Error: the folder holds no images. Expected JPEG. Choose another folder.\n")
            return 1
        if kind == "slow":
            time.sleep(1.0)
        settings = RunSettings(
            Config(), option("--images"), name=option("--name"), category=kind, device=option("--device")
        )
        folder = RunFolder.create(run, settings)
    else:
        folder = RunFolder.open(sys.argv[2])
    print("the trainer begins", flush=True)  # noqa: T201
    with folder.locked():
        code = train(folder, resumed=verb == "resume")
    if folder.settings.category == "lingers":
        time.sleep(1.0)
    return code


def train(folder: RunFolder, *, resumed: bool) -> int:
    folder.take_request()
    config = folder.settings.config
    folder.log(ev.Started(folder.path, config.preset, config.train.stages, 9, "cpu", 1, resumed))
    mark = folder.path / "checkpoint"
    nimg = int(mark.read_text()) if mark.exists() else 0
    folder.log(ev.StageStarted("gan", nimg, TOTAL, 4))
    while nimg < TOTAL or folder.settings.category in ("long", "lingers"):
        nimg += 1
        status = RunStatus("running", "gan", nimg, TOTAL, 20.0, 1.0)
        folder.write_status(status)
        folder.log(ev.Progress("gan", nimg, TOTAL, 20.0, 1.0, nimg / 20, {"loss": 1 / nimg}))
        asked = folder.take_request()
        if asked == "discard":
            folder.discard()
            mark.unlink(missing_ok=True)
            folder.path.rmdir()
            return 0
        if asked == "pause":
            mark.write_text(str(nimg))
            folder.write_status(dataclasses.replace(status, state="paused"))
            folder.log(ev.Paused("gan", nimg, "pause"))
            return 0
        if asked == "stop":
            break
        time.sleep(0.02)
    folder.model_path.write_bytes(b"a model")
    folder.write_status(RunStatus("finished", "encoder", nimg, TOTAL, message="all stages are done"))
    folder.log(ev.Finished("all stages are done", folder.model_path, nimg / 20))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
