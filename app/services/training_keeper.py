"""Looks after the runs in a thread of its own: starts what waits, sees what runs, asks what is wanted."""

from __future__ import annotations

import contextlib
import logging
import os
import queue as queues
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.services import training_process as processes
from app.services.training_follow import Follower
from app.services.training_publish import Publisher
from app.services.training_queue import Order, Queue, QueueFile, readable
from app.services.training_state import RunLook, listing_order, log_tail, view_of
from app.services.training_values import RunHistory, RunView, TrainRequest
from coordgan_core.errors import CheckpointError, CoordError
from coordgan_core.training import locking
from coordgan_core.training.control import ask, is_alive
from coordgan_core.training.run import Request, RunFolder, find_runs, is_run

_log = logging.getLogger(__name__)
_ENDING_SEC = 30.0  # in which a process lets go of its device
_PAUSE_SEC = 0.02
_STARTING_SEC = 180.0  # in which a process loads PyTorch and takes hold of its folder
_QUIET_SEC = 60.0  # in which the same trouble is not told again: a full disk is found at every look


@dataclass(frozen=True)
class Seen:
    """What a look at all runs has shown."""

    runs: tuple[RunView, ...]
    histories: dict[str, RunHistory]
    logs: dict[str, str]
    models: tuple[tuple[str, Path], ...]
    problems: tuple[str, ...]
    refused: tuple[str, ...] = ()
    """Ids of new runs that could not be written down, and so are not in the queue."""


class Keeper:
    """The thread.

    Args:
        folder: Where runs, logs and the queue are.
        models: The user's models.
        tell: Called in the thread with every `Seen` that differs from the last.
        poll_sec: Between two looks.
    """

    def __init__(
        self, folder: Path, models: Path, tell: Callable[[Seen], None], *, poll_sec: float = 0.5
    ) -> None:
        self._folder, self._tell, self._poll_sec = folder, tell, poll_sec
        self._file = QueueFile(folder / "queue.json")
        self._publisher = Publisher(models, self._file, self._report_seldom)
        self._calls: queues.SimpleQueue[Callable[[], None] | None] = queues.SimpleQueue()
        self._looks: dict[Path, RunLook] = {}
        self._follower = Follower(self._log_path)
        self._last: tuple[RunView, ...] | None = None
        self._problems: list[str] = []
        self._told: dict[str, float] = {}
        self._refused: list[str] = []
        self._thread = threading.Thread(target=self._run, name="trainings", daemon=True)
        self._thread.start()

    # --- from the window's thread; none of these waits

    def add(self, run: Path, request: TrainRequest) -> None:
        """Queue a new run."""
        self._post(lambda: self._add(run, request))

    def know(self, run: Path) -> None:
        """List a run that lies elsewhere."""
        self._post(lambda: self._change(lambda queue: queue.known(run)))

    def ask(self, run: Path, what: Request) -> None:
        """Pause, stop or discard a run."""
        self._post(lambda: self._ask(run, what))

    def resume(self, run: Path, device: str | None) -> None:
        """Queue a run that has begun."""
        self._post(lambda: self._resume(run, device))

    def move(self, run: Path, place: int) -> None:
        """Give a waiting run another place."""
        self._post(lambda: self._change(lambda queue: queue.move(queue.known(run), place)))

    def attach(self, run: Path) -> None:
        """Read a run's history from now on."""
        self._post(lambda: self._follower.attach(run))

    def detach(self, run: Path) -> None:
        """Read it no more."""
        self._post(lambda: self._follower.detach(run))

    def close(self) -> None:
        """Do what was asked, then end the thread; the runs go on."""
        self._calls.put(None)
        self._thread.join()

    def _post(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    # --- in the thread

    def _run(self) -> None:
        closing = False
        while not closing:
            try:
                if not self._folder.exists():
                    self._folder.mkdir(parents=True, exist_ok=True)
                self._look()
            except Exception as error:
                if not isinstance(error, (CoordError, OSError)):
                    _log.exception("a look at the trainings failed")
                self._report_seldom(error)
            closing = self._do_calls()
        processes.reap()

    def _do_calls(self) -> bool:
        """Do what is asked until the next look is due; return whether the thread is to end."""
        until = time.monotonic() + self._poll_sec
        did = False
        while True:
            left = 0.0 if did else max(0.0, until - time.monotonic())
            try:
                call = self._calls.get(timeout=left) if left else self._calls.get_nowait()
            except queues.Empty:
                return False
            if call is None:
                return True
            did = True
            try:
                call()
            except (CoordError, OSError) as error:
                self._report(error)
            except Exception as error:  # the window must outlive any mistake here
                _log.exception("a training could not be asked")
                self._report(error)

    def _report(self, error: Exception) -> None:
        text = readable(error)
        if text not in self._problems:
            self._problems.append(text)

    def _report_seldom(self, error: Exception) -> None:
        """Report what every look finds again, such as a full disk."""
        text, now = readable(error), time.monotonic()
        if now - self._told.get(text, -_QUIET_SEC) >= _QUIET_SEC:
            self._told[text] = now
            self._report(error)

    def _change(self, change: Callable[[Queue], object]) -> None:
        with self._file.changing() as queue:
            change(queue)

    # --- what is asked

    def _add(self, run: Path, request: TrainRequest) -> None:
        order = Order(run, "train", request.device, request)
        try:
            run.mkdir(parents=True, exist_ok=True)
            processes.lay_down_labels(request.labels, run / processes.LABELS)
        except OSError as error:
            order.state, order.message = "held", readable(error)
        try:
            self._change(lambda queue: queue.orders.append(order))
        except (CoordError, OSError):
            self._refused.append(str(run))
            self._clear_away(run)
            raise

    def _resume(self, run: Path, device: str | None) -> None:
        began = is_run(run)
        if began:
            RunFolder.open(run)  # of a newer version, or damaged: better now than in a log
        self._await_end(run)

        def change(queue: Queue) -> None:
            order = queue.known(run)
            if order.state in ("waiting", "started") and _is_busy(run, order):
                return
            order.verb = "resume" if began else "train"
            if not began and order.request is None:
                raise CheckpointError(f"{run} holds no training", remedy="start a new one")
            order.device = device or order.device
            order.state, order.message, order.asked, order.pid = "waiting", "", "", 0
            queue.orders.remove(order)
            queue.orders.append(order)

        self._change(change)

    def _await_end(self, run: Path) -> None:
        """Wait until a process that has said its last word is gone, and its device is free."""
        order = self._file.read().get(run)
        if order is None or order.state != "started":
            return
        until = time.monotonic() + _ENDING_SEC
        while processes.is_running(order.pid) and self._look_at(run).is_ending(order):
            if time.monotonic() > until:
                return
            time.sleep(_PAUSE_SEC)

    def _ask(self, run: Path, what: Request) -> None:
        with self._file.changing() as queue:
            order = queue.known(run)
            if order.state == "waiting":
                self._ask_waiting(queue, order, what)
                return
            if order.state == "started" and not _is_held(run) and processes.is_running(order.pid):
                order.asked = what  # it is loading: asked again once it holds its folder
                return
            if not is_run(run):  # it never began
                self._forget(queue, order) if what != "pause" else None
                return
            opened = RunFolder.open(run)
            alive = is_alive(opened)
            ask(opened, what)
            order.asked = what if alive else ""
            if not alive and what == "discard":
                self._forget(queue, order)

    def _ask_waiting(self, queue: Queue, order: Order, what: Request) -> None:
        if what == "pause":
            order.state = "held"
        elif order.verb == "train":
            self._forget(queue, order)
        else:
            order.state = "held"
            opened = RunFolder.open(order.run)
            ask(opened, what)
            if what == "discard":
                self._forget(queue, order)

    def _forget(self, queue: Queue, order: Order) -> None:
        """Remove a run that is no more, and what was laid down for it."""
        queue.orders.remove(order)
        self._clear_away(order.run)

    def _clear_away(self, run: Path) -> None:
        shutil.rmtree(run / processes.LABELS, ignore_errors=True)
        with contextlib.suppress(OSError):
            run.rmdir()
        with contextlib.suppress(OSError):
            self._log_path(run).unlink(missing_ok=True)
        self._looks.pop(run, None)

    # --- looking

    def _look(self) -> None:
        processes.reap()
        queue = self._file.read()
        if self._file.problem:
            self._problems.append(self._file.problem)
            self._file.problem = ""
        paths = {order.run for order in queue.orders} | set(find_runs(self._folder / "runs"))
        looks = {path: self._look_at(path) for path in paths}
        if self._needs_change(queue, looks):
            queue = self._renew(looks)
        views = [view_of(look, queue, queue.get(path)) for path, look in looks.items()]
        views.sort(key=listing_order)
        models = tuple(self._publisher.collect(queue, views))
        histories, logs = self._follower.look()
        problems, self._problems = tuple(self._problems), []
        refused, self._refused = tuple(self._refused), []
        seen = tuple(views)
        if seen != self._last or histories or logs or models or problems or refused:
            self._last = seen
            self._tell(Seen(seen, histories, logs, models, problems, refused))

    def _renew(self, looks: dict[Path, RunLook]) -> Queue:
        """Note what has ended and start what may begin; return the queue as it is now.

        What begins is written down before: on a full disk nothing begins, rather than a second time at the
        next look, and all runs are shown as they stand.
        """
        try:
            with self._file.changing() as changed:
                self._settle(changed, looks)
                begin = changed.startable()
                for order in begin:  # ours until it has a process
                    order.state, order.started, order.pid = "started", time.time(), os.getpid()
            if begin:
                with self._file.changing() as changed:
                    for run in [order.run for order in begin]:
                        self._start(changed.known(run))
        except (CoordError, OSError) as error:
            self._report_seldom(error)
            changed = self._file.read()
            for order in changed.orders:  # shown as it is, though it could not be written down
                if order.state == "started" and _has_ended(order):
                    order.state = "ended"
        return changed

    def _look_at(self, path: Path) -> RunLook:
        look = self._looks.setdefault(path, RunLook(path))
        look.refresh()
        return look

    def _needs_change(self, queue: Queue, looks: dict[Path, RunLook]) -> bool:
        started = [order for order in queue.orders if order.state == "started"]
        return (
            bool(queue.startable())
            or any(not looks[o.run].alive or o.asked for o in started)
            or any(o.asked for o in queue.orders)
        )

    def _settle(self, queue: Queue, looks: dict[Path, RunLook]) -> None:
        """Note which started runs have ended, and repeat what could not be asked while they were loading."""
        for order in list(queue.orders):
            alive = _is_held(order.run)
            if order.state == "started" and not alive:
                if _has_ended(order):
                    self._ended(queue, order)
            elif order.asked and alive and not (order.run / "request").exists():
                look = looks.get(order.run)
                if look is not None and look.status.stage == "" and is_run(order.run):
                    RunFolder.open(order.run).request(_request_of(order.asked))
            elif order.asked and not alive:
                order.asked = ""

    def _ended(self, queue: Queue, order: Order) -> None:
        order.state, order.pid = "ended", 0
        asked, order.asked = order.asked, ""
        if not is_run(order.run):
            if asked == "discard":
                self._forget(queue, order)
                return
            order.message = log_tail(self._log_path(order.run)) or "The process ended before it began."
        elif asked == "discard":  # it ended by itself before it was asked
            ask(RunFolder.open(order.run), "discard")
            self._forget(queue, order)

    def _start(self, order: Order) -> None:
        try:
            if order.request is not None and order.request.labels and order.verb == "train":
                processes.lay_down_labels(
                    {n: p for n, p in order.request.labels.items() if p.exists()},
                    order.run / processes.LABELS,
                )
            order.pid = processes.start(order, self._log_path(order.run))
        except OSError as error:
            order.state, order.message = "ended", readable(error)
            return
        order.state, order.started, order.message = "started", time.time(), ""

    def _log_path(self, run: Path) -> Path:
        return self._folder / "logs" / f"{run.name}.txt"


def _is_held(run: Path) -> bool:
    return locking.is_held(run / "lock")


def _has_ended(order: Order) -> bool:
    """Return whether the process of a started order neither trains nor loads."""
    loads = time.time() - order.started < _STARTING_SEC and processes.is_running(order.pid)
    return not loads and not _is_held(order.run)


def _is_busy(run: Path, order: Order) -> bool:
    """Return whether an order waits, loads or trains."""
    return order.state == "waiting" or _is_held(run) or processes.is_running(order.pid)


def _request_of(text: str) -> Request:
    return "pause" if text == "pause" else "stop" if text == "stop" else "discard"
