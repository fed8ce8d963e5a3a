"""What is remembered of runs beside their folders: who waits for which device. One JSON file. No Qt."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.services.training_values import TrainRequest
from coordgan_core.errors import CoordError, DiskFullError
from coordgan_core.files import write_json
from coordgan_core.training import locking

FORMAT = 1


@dataclass
class Order:
    """One run's turn: what to do with it, and how far that is.

    Attributes:
        run: Its folder.
        verb: ``train`` or ``resume``.
        device: Where.
        request: What is trained; None for runs that were started elsewhere.
        state: ``waiting``; ``held`` (taken out of the queue); ``started``; ``ended``.
        pid: Its process, 0 before it was started.
        started: When, seconds of 1970.
        asked: What was asked of it and has not happened yet.
        message: What went wrong before its folder could tell.
        model: Its model in the user's list, empty before it is there.
    """

    run: Path
    verb: Literal["train", "resume"] = "train"
    device: str = "auto"
    request: TrainRequest | None = None
    state: Literal["waiting", "held", "started", "ended"] = "waiting"
    pid: int = 0
    started: float = 0.0
    asked: str = ""
    message: str = ""
    model: str = ""

    @property
    def name(self) -> str:
        """What people call the run."""
        return (self.request.name if self.request else "") or self.run.name


@dataclass
class Queue:
    """All orders, in the order in which they wait."""

    orders: list[Order] = field(default_factory=list)

    def get(self, run: Path) -> Order | None:
        """Return the order of a run."""
        return next((order for order in self.orders if order.run == run), None)

    def known(self, run: Path) -> Order:
        """Return the order of a run; one that was started elsewhere gets one that has ended."""
        order = self.get(run)
        if order is None:
            order = Order(run, "resume", state="ended")
            self.orders.append(order)
        return order

    def startable(self) -> list[Order]:
        """Return the waiting orders whose device is free, the first of each device."""
        taken = [order.device for order in self.orders if order.state == "started"]
        found = []
        for order in self.orders:
            if order.state != "waiting":
                continue
            if not any(conflict(order.device, device) for device in taken):
                found.append(order)
            taken.append(order.device)  # those behind it wait for it, too
        return found

    def place(self, order: Order) -> int:
        """Return the place of a waiting order among those that wait for its device, from 1; else 0."""
        if order.state != "waiting":
            return 0
        waiting = [o for o in self.orders if o.state == "waiting" and conflict(o.device, order.device)]
        return waiting.index(order) + 1

    def move(self, order: Order, place: int) -> None:
        """Give a waiting order another place among those that wait for its device."""
        waiting = [o for o in self.orders if o.state == "waiting" and conflict(o.device, order.device)]
        if order not in waiting:
            return
        others = [o for o in waiting if o is not order]
        slots = [self.orders.index(o) for o in waiting]
        at = min(max(place, 1), len(waiting)) - 1
        for slot, item in zip(slots, [*others[:at], order, *others[at:]], strict=True):
            self.orders[slot] = item


def conflict(first: str, second: str) -> bool:
    """Return whether two trainings would share a device; ``auto`` may be any of them."""
    if first == second or "auto" in (first, second):
        return True
    gpus = first.startswith("cuda") and second.startswith("cuda")
    return gpus and ("cuda" in (first, second) or "cuda:all" in (first, second))


class QueueFile:
    """The queue on disk; changes are made under a lock, so that two windows do not start a run twice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem = ""

    @contextlib.contextmanager
    def changing(self) -> Iterator[Queue]:
        """Yield the queue and write what was changed.

        Raises:
            DiskFullError: It cannot be written, or another window is slow.
        """
        with locking.exclusive(self._path.with_suffix(".lock")) as free:
            if not free:
                raise DiskFullError(
                    f"the queue {self._path} is held by another window",
                    expected="a moment of its time",
                    remedy="try again",
                )
            queue = self.read()
            before = _document(queue)
            yield queue
            if _document(queue) != before:
                write_json(self._path, _document(queue))

    def read(self) -> Queue:
        """Return the queue; a file that cannot be read is put aside, the runs are found by their folders."""
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            return Queue([_order(item) for item in document["orders"]])
        except FileNotFoundError:
            return Queue()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.problem = f"The queue of trainings could not be read ({error}); it begins anew."
            with contextlib.suppress(OSError):
                self._path.replace(self._path.with_suffix(".damaged.json"))
            return Queue()


def _document(queue: Queue) -> dict[str, Any]:
    return {"format": FORMAT, "orders": [_plain(order) for order in queue.orders]}


def _plain(order: Order) -> dict[str, Any]:
    values = dict(vars(order))
    values["run"] = str(order.run)
    values["request"] = None if order.request is None else _plain_request(order.request)
    return values


def _plain_request(request: TrainRequest) -> dict[str, Any]:
    values = dict(vars(request))
    values["images"] = str(request.images)
    values["labels"] = {name: str(path) for name, path in request.labels.items()}
    values["start"] = None if request.start is None else str(request.start)
    values["changes"] = dict(request.changes)
    return values


def _order(values: dict[str, Any]) -> Order:
    known = {name: values[name] for name in Order.__dataclass_fields__ if name in values}
    request = known.pop("request", None)
    return Order(
        **{**known, "run": Path(known["run"]), "request": None if request is None else _request(request)}
    )


def _request(values: dict[str, Any]) -> TrainRequest:
    known = {name: values[name] for name in TrainRequest.__dataclass_fields__ if name in values}
    changes = {k: tuple(v) if isinstance(v, list) else v for k, v in known.get("changes", {}).items()}
    start = known.get("start")
    return TrainRequest(
        **{
            **known,
            "images": Path(known["images"]),
            "labels": {name: Path(path) for name, path in known.get("labels", {}).items()},
            "start": None if start is None else Path(start),
            "changes": changes,
        }
    )


def readable(error: Exception) -> str:
    """Return an error as a sentence."""
    return str(error) if isinstance(error, CoordError) else f"{type(error).__name__}: {error}"
