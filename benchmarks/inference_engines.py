"""Ways of running the network of a model on the CPU; each looks like the model to a `Predictor`."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from coordgan_core.models.coordgan import Correspondence
from coordgan_core.models.embedding import Embedding
from coordgan_core.runtimes import OpenVINONetwork


class Unavailable(Exception):  # noqa: N818
    """An engine cannot be used here.

    Args:
        reason: Why.
        engine: Which.
    """

    def __init__(self, reason: str, engine: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.engine = engine


Call = Callable[[Tensor], tuple[Tensor, ...]]


class _Ready(Embedding):
    """An embedding whose prototypes are known to be set: to look would be a branch on data in the graph."""

    ready = True


class Outputs(nn.Module):  # images -> map, reliability, descriptors
    """The network as a function of tensors to tensors, which is what compilers and runtimes take."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        embedding = getattr(model, "embedding", None)
        if embedding is not None and embedding.ready:
            embedding.__class__ = _Ready

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map images ``[B, 3, R, R]`` to map, reliability and, where the model has them, descriptors."""
        found = self.model.correspondence(images)
        rest = () if found.descriptors is None else (found.descriptors,)
        return (found.map, found.reliability, *rest)


class Engine:
    """A model whose network is run by ``call``.

    Args:
        model: The model, for its sizes.
        call: Images to the results of `Outputs`.
    """

    def __init__(self, model: Any, call: Call) -> None:
        self.config = model.config
        self.input_px = model.input_px
        self._call = call

    def correspondence(self, images: Tensor) -> Correspondence:
        """Map images ``[B, 3, R, R]`` to the canonical frame."""
        found = [tensor.float() for tensor in self._call(images)]
        return Correspondence(found[0], found[1], found[2] if len(found) > 2 else None)


def eager(model: nn.Module, batch: int) -> Engine:
    """Run the network as it is."""
    del batch
    return Engine(model, Outputs(model.to(memory_format=torch.channels_last)))  # type: ignore[call-overload]


def bfloat16(model: nn.Module, batch: int) -> Engine:
    """Run the network as it is, convolutions in bfloat16; coordinates stay float32."""
    plain = eager(model, batch)

    def call(images: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cpu", torch.bfloat16):
            return plain._call(images)

    return Engine(model, call)


def compiled(model: nn.Module, batch: int) -> Engine:
    """Run the network through `torch.compile`, for one size of batch."""
    del batch
    network = Outputs(model.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    return Engine(model, _compiled(network))


def compiled_bfloat16(model: nn.Module, batch: int) -> Engine:
    """Run the network through `torch.compile` with convolutions in bfloat16."""
    fast = compiled(model, batch)

    def call(images: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cpu", torch.bfloat16):
            return fast._call(images)

    return Engine(model, call)


def _compiled(network: nn.Module) -> Call:
    fast = torch.compile(network, dynamic=False)

    def call(images: Tensor) -> tuple[Tensor, ...]:
        try:
            found: tuple[Tensor, ...] = fast(images)
        except RuntimeError as error:  # no C++ compiler, above all
            raise Unavailable(f"torch.compile failed ({str(error).splitlines()[0]})") from error
        return found

    return call


def onnx_runtime(model: nn.Module, batch: int) -> Engine:
    """Export the network to ONNX and run it by ONNX Runtime."""
    _needs("onnx", "onnxscript", "onnxruntime")
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other programs want the cores
    session = onnxruntime.InferenceSession(
        _exported(model, batch), settings, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def run(images: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        found: list[np.ndarray[Any, Any]] = session.run(None, {name: images})
        return found

    return Engine(model, _in_batches(run, batch))


def openvino(precision: str) -> Callable[[nn.Module, int], Engine]:
    """Return the engine that runs the network by OpenVINO as the program does, in ``"f32"`` or ``"bf16"``."""

    def make(model: nn.Module, batch: int) -> Engine:
        del batch  # one image after the other
        _needs("openvino")
        import openvino as ov

        if precision == "bf16" and "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Unavailable("this processor does not compute in bfloat16")
        side: int = model.input_px  # type: ignore[assignment]
        network = OpenVINONetwork(model, side, precision)

        def call(images: Tensor) -> tuple[Tensor, ...]:
            found = network.correspondence(images)
            rest = () if found.descriptors is None else (found.descriptors,)
            return (found.map, found.reliability, *rest)

        return Engine(model, call)

    return make


def _in_batches(run: Callable[[np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]], batch: int) -> Call:
    """Return ``run``, which takes exactly ``batch`` images, as a call for up to that many."""

    def call(images: Tensor) -> tuple[Tensor, ...]:
        count = len(images)
        full = np.zeros((batch, *images.shape[1:]), np.float32)
        full[:count] = images.numpy()
        return tuple(torch.from_numpy(np.array(found[:count])) for found in run(full))

    return call


def _exported(model: nn.Module, batch: int) -> bytes:
    """Return the network as an ONNX file for ``batch`` images."""
    side: int = model.input_px  # type: ignore[assignment]
    example = torch.zeros(batch, 3, side, side)
    target = io.BytesIO()
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(Outputs(model).eval(), (example,), dynamo=True, verbose=False)
        assert program is not None
        program.save(target, external_data=False)
    return target.getvalue()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's messages to itself."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            log.setLevel(level)


def _needs(*modules: str) -> None:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise Unavailable(f"{', '.join(missing)} is not installed (pip install coordlabel[runtimes])")


ENGINES: dict[str, Callable[[nn.Module, int], Engine]] = {
    "eager float32": eager,
    "eager bfloat16": bfloat16,
    "compile float32": compiled,
    "compile bfloat16": compiled_bfloat16,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO float32": openvino("f32"),
    "OpenVINO bfloat16": openvino("bf16"),
}
"""Makers of engines by name: the model and the size of batches to an `Engine`."""
