from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coordgan_core.engine.protocol import (
    ProtocolError,
    Reply,
    Request,
    Segments,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from coordgan_core.engine.server import CREDIT, Answer, Server
from coordgan_core.errors import ImageError

Stream = Generator[Answer, None, Answer | None]


class Harness:
    """A server in a thread, with pipes for its input and output."""

    def __init__(self, run: Callable[[Request], Stream]) -> None:
        class Backend:
            def run(self, request: Request) -> Stream:
                return run(request)

        read, write = os.pipe()
        answers, sink = os.pipe()
        self.requests: BinaryIO = os.fdopen(write, "wb", buffering=0)
        self.replies: BinaryIO = os.fdopen(answers, "rb")
        self._source, self._sink = os.fdopen(read, "rb"), os.fdopen(sink, "wb")
        self.server = Server(Backend(), self._source, self._sink, alive_sec=30.0)
        self.thread = threading.Thread(target=self.server.serve)
        self.thread.start()

    def send(self, request: Request | bytes) -> None:
        self.requests.write(request if isinstance(request, bytes) else encode_request(request))

    def next(self) -> Reply:
        return decode_reply(self.replies.readline())

    def until(self, request_id: int) -> list[Reply]:
        """Return the replies up to the last word on a request."""
        found = []
        while True:
            reply = self.next()
            if reply.id == request_id:
                found.append(reply)
                if reply.kind != "event":
                    return found

    def close(self) -> None:
        self.requests.close()
        self.thread.join(5)
        assert not self.thread.is_alive()
        for stream in (self.replies, self._source, self._sink):
            stream.close()


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[Request], Stream]], Harness]]:
    made: list[Harness] = []

    def build(run: Callable[[Request], Stream]) -> Harness:
        made.append(Harness(run))
        return made[-1]

    yield build
    for harness in made:
        harness.close()


Start = Callable[[Callable[[Request], Stream]], Harness]


def echo(request: Request) -> Stream:
    yield {"step": 1}, {}
    if request.params.get("fail") == "user":
        raise ImageError("a.png is damaged", expected="a whole image", remedy="copy it again")
    if request.params.get("fail") == "bug":
        raise ZeroDivisionError("oops")
    if request.params.get("fail") == "memory":
        raise MemoryError
    return {"params": dict(request.params)}, dict(request.arrays)


def test_events_then_the_final_answer(start: Start) -> None:
    harness = start(echo)
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    harness.send(Request(7, "refine", 3, {"a": 1}, {"labels": labels}))
    event, done = harness.until(7)
    assert (event.kind, event.generation, event.data) == ("event", 3, {"step": 1})
    assert done.kind == "done"
    assert np.array_equal(done.arrays["labels"], labels)


def test_bad_requests_are_errors_and_the_engine_goes_on(start: Start) -> None:
    harness = start(echo)
    for line, words in (
        (b"garbage\n", "no JSON"),
        (b"[]\n", "no object"),
        (b'{"id": 4, "verb": "explode"}\n', "unknown verb"),
        (b'{"id": -1, "verb": "refine"}\n', "id is -1"),
        (b'{"id": 5, "verb": "refine", "params": 3}\n', "params"),
        (b'{"id": 6, "verb": "refine", "arrays": {"x": {"shape": [-1], "dtype": "uint8"}}}\n', "shape"),
        (b'{"id": 6, "verb": "refine", "arrays": {"x": {"shape": [9], "dtype": "object"}}}\n', "known type"),
    ):
        harness.send(line)
        reply = harness.next()
        assert reply.kind == "error"
        assert words in reply.data["message"]
    for number, (fail, words) in enumerate(
        [("user", "Copy it again"), ("bug", "ZeroDivisionError: oops"), ("memory", "memory is full")], 10
    ):
        harness.send(Request(number, "refine", params={"fail": fail}))
        assert words in harness.until(number)[-1].data["message"]
    harness.send(Request(20, "hello"))
    assert harness.until(20)[-1].data["protocol"] == 1


def test_cancel_closes_the_generator_at_once(start: Start) -> None:
    closed = threading.Event()

    def endless(_: Request) -> Stream:
        try:
            while True:
                yield {"tick": 1}, {}
                time.sleep(0.005)
        finally:
            closed.set()

    harness = start(endless)
    harness.send(Request(1, "propagate"))
    harness.next()
    before = time.monotonic()
    harness.send(Request(0, "cancel", params={"id": 1}))
    assert harness.until(1)[-1].kind == "cancelled"
    assert time.monotonic() - before < 0.2
    assert closed.is_set()


def test_a_request_that_waits_can_be_cancelled_too(start: Start) -> None:
    begun: list[int] = []
    go = threading.Event()

    def slow(request: Request) -> Stream:
        begun.append(request.id)
        yield {}, {}
        go.wait(5)
        return None

    harness = start(slow)
    harness.send(Request(1, "propagate"))
    harness.next()
    harness.send(Request(2, "propagate"))
    harness.send(Request(0, "cancel", params={"id": 2}))
    time.sleep(0.05)
    go.set()
    assert harness.until(2)[-1].kind == "cancelled"
    assert begun == [1]


def test_results_wait_until_the_window_has_taken_some(start: Start) -> None:
    sent: list[int] = []

    def results(_: Request) -> Stream:
        for index in range(CREDIT + 5):
            sent.append(index)
            yield {"index": index}, {"labels": np.zeros((300, 300), np.uint8)}
        return None

    harness = start(results)
    harness.send(Request(1, "propagate"))
    received = [harness.next() for _ in range(CREDIT)]
    time.sleep(0.1)
    assert len(sent) == CREDIT + 1
    assert harness.server._segments.count == CREDIT
    for reply in received:
        harness.send(Request(0, "release", params={"names": list(reply.segments)}))
    rest = harness.until(1)
    assert [r.kind for r in rest] == ["event"] * 5 + ["done"]


def test_the_end_of_the_input_ends_the_engine_and_its_memory(start: Start) -> None:
    def results(_: Request) -> Stream:
        yield {}, {"labels": np.zeros((300, 300), np.uint8)}
        time.sleep(0.01)
        while True:
            yield {}, {}
            time.sleep(0.005)

    harness = start(results)
    harness.send(Request(1, "propagate"))
    reply = harness.next()
    assert reply.segments
    harness.requests.close()
    harness.thread.join(5)
    assert not harness.thread.is_alive()
    with pytest.raises(ProtocolError, match="gone"):
        decode_reply(
            b'{"id":1,"kind":"done","arrays":{"x":{"shape":[2],"dtype":"uint8","memory":"%s"}}}'
            % reply.segments[0].encode()
        )


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.float16, np.float32, np.int64]),
        arrays.array_shapes(max_dims=3, max_side=5),
    ),
    st.booleans(),
)
@settings(deadline=None, max_examples=50)
def test_arrays_arrive_as_they_were(array: np.ndarray[Any, Any], large: bool) -> None:
    segments = Segments()
    if large:
        array = np.tile(array.reshape(-1), 1 << 16)
    line = encode_reply(Reply(1, "done", arrays={"x": array}), segments)
    back = decode_reply(line)
    assert back.arrays["x"].dtype == array.dtype
    assert back.arrays["x"].tobytes() == array.tobytes()
    assert bool(back.segments) == (array.nbytes > 1 << 16)
    segments.release(list(back.segments))
    assert segments.count == 0


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_line_does_more_than_raise(line: bytes) -> None:
    for decode in (decode_request, decode_reply):
        with pytest.raises(ProtocolError):
            decode(line)


def test_an_array_that_expands_to_more_than_it_says_is_refused() -> None:
    line = encode_request(Request(1, "refine", arrays={"x": np.zeros(5000, np.uint8)}))
    with pytest.raises(ProtocolError, match="bytes"):
        decode_request(line.replace(b"[5000]", b"[50]"))
