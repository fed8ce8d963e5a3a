"""What runs a model's network on a processor: PyTorch, or OpenVINO (extra `runtimes`), which is faster.

OpenVINO gets the network from PyTorch's trace, in this process: nothing is exported to a file, nothing is
fetched. It computes in float32 one image after the other, so what an image gets does not depend on its batch.
Labels are those of PyTorch (docs/benchmarks.md, "CPU inference").
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import threading
import warnings
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from coordgan_core.errors import ConfigError
from coordgan_core.models.coordgan import Correspondence

Runtime = Literal["auto", "torch", "openvino"]
RUNTIMES: tuple[str, ...] = ("auto", "torch", "openvino")
_TOLERANCE = 1e-3  # canonical units: a sixteenth of a pixel of a map of 128
_log = logging.getLogger(__name__)


def network_for(model: Any, device: torch.device, runtime: str = "auto", *, side: int) -> tuple[Any, str]:
    """Return what computes ``correspondence(images)`` for a model, and its name for people.

    ``"auto"`` takes OpenVINO for a processor where it is installed and gives what PyTorch gives, else
    PyTorch; why not is logged.

    Args:
        model: A `CoordGAN` in evaluation mode, on its device; other objects are returned as they are.
        device: Where it is.
        runtime: One of `RUNTIMES`.
        side: Of the square images that it takes, in pixels.

    Raises:
        ConfigError: There is no such runtime, or OpenVINO was asked for and cannot be used.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"there is no runtime {runtime!r}", expected=f"one of {', '.join(RUNTIMES)}")
    plain = model, f"PyTorch {torch.__version__}"
    if runtime == "torch" or (runtime == "auto" and _unfit(model, device)):
        return plain
    try:
        network = OpenVINONetwork(model, side)
        network.check(model)
    except Exception as error:  # of a trace, a converter and a compiler: any model must run all the same
        reason = _reason(error)
        if runtime == "openvino":
            raise ConfigError(
                f"OpenVINO cannot run this model ({reason})",
                expected="a model on the processor, and the package openvino",
                remedy="choose the runtime torch, or `pip install coordlabel[runtimes]`",
            ) from error
        _log.warning("OpenVINO cannot run this model (%s); PyTorch runs it", reason)
        return plain
    _log.info("%s runs the model", network.name)
    return network, network.name


def _reason(error: Exception) -> str:
    """Return the line of a message that says most; converters list what they lack behind dashes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    listed = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    return (listed or lines or [type(error).__name__])[0]


def _unfit(model: Any, device: torch.device) -> bool:
    """Tell whether OpenVINO is no choice, without loading it."""
    if device.type != "cpu" or not isinstance(model, nn.Module):
        return True
    if importlib.util.find_spec("openvino") is None:
        _log.info("OpenVINO is not installed; PyTorch runs the model")
        return True
    return False


def processor_runtime() -> str:
    """Return what `"auto"` takes on a processor, with its version, without loading it."""
    if importlib.util.find_spec("openvino") is None:
        return f"PyTorch {torch.__version__}"
    try:
        return f"OpenVINO {importlib.metadata.version('openvino')}"
    except importlib.metadata.PackageNotFoundError:
        return "OpenVINO"


class _Outputs(nn.Module):  # images -> map, reliability, descriptors
    """The network as a function of tensors to tensors, which is what can be traced."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        found = self.model.correspondence(images)  # type: ignore[operator]
        rest = () if found.descriptors is None else (found.descriptors,)
        return (found.map, found.reliability, *rest)


class OpenVINONetwork:
    """A model's network run by OpenVINO on the processor, an image on each of PyTorch's threads.

    Args:
        model: The model, in evaluation mode, on the CPU; later changes of its weights are not seen.
        side: Of its images, in pixels.
        precision: ``"f32"`` or ``"bf16"``.
    """

    def __init__(self, model: nn.Module, side: int, precision: str = "f32") -> None:
        import openvino

        core, threads = openvino.Core(), max(1, torch.get_num_threads())
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
        }
        self.side = side
        self.name = f"OpenVINO {openvino.get_version().partition('-')[0]}"
        self._compiled = core.compile_model(_converted(model, side), "CPU", settings)
        self._requests = [self._compiled.create_infer_request() for _ in range(threads)]
        self._lock = threading.Lock()

    def correspondence(self, images: Tensor) -> Correspondence:
        """Map images ``[B, 3, side, side]`` to the canonical frame."""
        results: list[list[Tensor]] = [[] for _ in images]

        def collect(i: int) -> None:
            request = self._requests[i % len(self._requests)]
            request.wait()
            outputs = range(len(self._compiled.outputs))
            results[i] = [torch.from_numpy(request.get_output_tensor(k).data.copy()) for k in outputs]

        with self._lock:
            for i, image in enumerate(images):
                if i >= len(self._requests):
                    collect(i - len(self._requests))
                one = np.ascontiguousarray(image[None].float().numpy())
                self._requests[i % len(self._requests)].start_async([one])
            for i in range(max(0, len(images) - len(self._requests)), len(images)):
                collect(i)
        found = [torch.cat(parts) for parts in zip(*results, strict=True)]
        return Correspondence(found[0], found[1], found[2] if len(found) > 2 else None)

    def check(self, model: nn.Module) -> None:
        """Raise ArithmeticError unless the model itself gives the same map for an image of noise."""
        image = torch.rand(1, 3, self.side, self.side, generator=torch.Generator().manual_seed(0)) * 2 - 1
        with torch.inference_mode():
            expected = model.correspondence(image).map  # type: ignore[operator]
        difference = float((self.correspondence(image).map - expected.float()).abs().max())
        if not difference <= _TOLERANCE:  # also where it is not a number
            raise ArithmeticError(f"its map differs by {difference:.2g} from PyTorch's")


def _converted(model: nn.Module, side: int) -> Any:
    """Return the network as OpenVINO's, for one image at a time."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = torch.zeros(1, 3, side, side)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # sizes become constants, as they should
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            _Outputs(model).eval(), (example,), check_trace=False
        )
        decoder = TorchScriptPythonDecoder(traced, example_input=(example,))
        frontend = FrontEndManager().load_by_framework("pytorch")
        network = frontend.convert(frontend.load(decoder))
    network.reshape([1, 3, side, side])
    return network
