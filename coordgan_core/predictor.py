"""From photographs of any size to correspondence maps: devices, batches and caches around a model."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core import coords
from coordgan_core.config import CropConfig
from coordgan_core.data.crop import crop_box, crop_image
from coordgan_core.data.images import Box, resize
from coordgan_core.data.pixels import to_tensor
from coordgan_core.devices import Precision, resolve_device
from coordgan_core.errors import OutOfMemoryError
from coordgan_core.files import atomic_path
from coordgan_core.runtimes import OpenVINONetwork, Runtime, network_for

Image = npt.NDArray[np.uint8]
_LARGEST_GROWTH = 4  # times the side of a network's map, that of a whole image it saw a part of


class HasCorrespondence(Protocol):
    """What a `CoordGAN` returns for a batch: maps, reliability, and descriptors if it has them."""

    map: Tensor
    reliability: Tensor
    descriptors: Tensor | None


@dataclass(frozen=True)
class Analysis:
    """What the network says about one image; float32 on the CPU, at the network's resolution."""

    map: Tensor
    """Correspondence map, ``[2, h, w]``."""
    reliability: Tensor
    """How sure the network is of the map, ``[h, w]``, 0 to 1."""
    descriptors: Tensor | None = None
    """Unit descriptors, ``[C, h, w]``, where the model has them."""

    def code(self) -> npt.NDArray[np.float32]:
        """Return a short description for comparing images: the map's offset at 8 x 8, ``[128]``."""
        small = coords.resize_map(self.map[None], 8, 8) - coords.canonical_grid(8, 8)[None]
        return np.asarray(small.flatten().numpy(), np.float32)


class Predictor:
    """A model ready for use on photographs.

    Args:
        model: A `CoordGAN`, or anything with ``correspondence(images)`` and ``config.resolution``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        precision: Arithmetic of the convolutions; coordinates are float32 always. ``"auto"`` is float32:
            bfloat16 halves the time of the network, which is the smaller part of a propagation, and
            changes about one label in 250 (docs/benchmarks.md).
        batch: Images at once; 0 chooses for the device.
        threads: CPU threads of PyTorch, for the whole process; 0 leaves them.
        cache: Where maps are kept; None computes always.
        runtime: What runs the network on a processor (`runtimes`): ``"auto"`` is the fastest that is there,
            with equal labels. A model whose weights still change needs ``"torch"``.

    Example:
        >>> predictor = Predictor(coordgan_core.load("faces.safetensors"))  # doctest: +SKIP
        >>> analysis = predictor.analyse([image])[0]  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Any,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        batch: int = 0,
        threads: int = 0,
        cache: AnalysisCache | None = None,
        runtime: Runtime = "auto",
    ) -> None:
        self.device = resolve_device(device)
        self.model = model
        self.resolution: int = getattr(model, "input_px", model.config.resolution)
        self.crop: CropConfig = getattr(model.config, "crop", CropConfig())
        if isinstance(model, nn.Module):
            model.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        if threads:
            torch.set_num_threads(threads)
        self._bfloat16 = precision == "bfloat16"
        self._runtime = "torch" if runtime == "auto" and self._bfloat16 else runtime
        self.batch = batch or (64 if self.device.type == "cuda" else 8)
        self.cache = cache

    @functools.cached_property
    def model_id(self) -> str:
        """A digest of the model's weights, the same wherever and however often it was saved."""
        hasher = hashlib.blake2b(repr(self.model.config).encode(), digest_size=16)
        state = self.model.state_dict() if isinstance(self.model, nn.Module) else {}
        for name, tensor in sorted(state.items()):
            hasher.update(name.encode())
            hasher.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return hasher.hexdigest()

    @functools.cached_property
    def _network(self) -> tuple[Any, str]:
        """What computes maps, and its name; made when it is first needed."""
        return network_for(self.model, self.device, self._runtime, side=self.resolution)

    @property
    def runtime(self) -> str:
        """What runs the network, with its version."""
        return self._network[1]

    @property
    def independent(self) -> bool:
        """Whether what an image gets is the same to the last bit, however many are analysed at once."""
        return isinstance(self._network[0], OpenVINONetwork)

    def analyse(self, images: Sequence[Image]) -> list[Analysis]:
        """Return the analysis of every image, ``uint8 [H, W, 3]`` of any sizes.

        Whole images are resized to the network's square, so positions in them are relative to their sides.
        A model that was trained on crops sees the same crop; its map is then laid into a map of the whole
        image: outside of the crop the nearest position goes on, with reliability 0.

        Raises:
            OutOfMemoryError: Not even one image fits the device.
        """
        keys = [self.cache.key(image) for image in images] if self.cache else []
        results: list[Analysis | None] = (
            [self.cache.get(key) for key in keys] if self.cache else [None] * len(images)
        )
        todo = [i for i, result in enumerate(results) if result is None]
        for start in range(0, len(todo), self.batch):
            part = todo[start : start + self.batch]
            for i, analysis in zip(part, self._forward([images[i] for i in part]), strict=True):
                results[i] = analysis
                if self.cache:
                    self.cache.put(keys[i], analysis)
        return [result for result in results if result is not None]

    def _forward(self, images: Sequence[Image]) -> list[Analysis]:
        side = self.resolution
        pixels = np.stack([resize(crop_image(self.crop, image), side, side) for image in images])
        try:
            with torch.inference_mode(), self._autocast():
                batch = to_tensor(pixels, self.device).contiguous(memory_format=torch.channels_last)
                found: HasCorrespondence = self._network[0].correspondence(batch)
        except torch.cuda.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            if len(images) == 1:
                raise OutOfMemoryError(
                    "one image does not fit the memory of the device",
                    remedy="close other programs that use the device, or choose the device cpu",
                ) from error
            half = self.batch = len(images) // 2
            return self._forward(images[:half]) + self._forward(images[half:])
        if self.crop.mode == "whole":
            return list(_split(found))
        sizes = [(image.shape[1], image.shape[0]) for image in images]
        return [
            _laid_into(part, crop_box(self.crop, *size), size)
            for part, size in zip(_split(found), sizes, strict=True)
        ]

    @contextlib.contextmanager
    def _autocast(self) -> Iterator[None]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            yield


def _split(found: HasCorrespondence) -> Iterator[Analysis]:
    maps, reliability = found.map.float().cpu(), found.reliability.float().cpu()
    descriptors = None if found.descriptors is None else found.descriptors.float().cpu()
    for i in range(len(maps)):
        # clones: views would keep the whole batch alive, and inference tensors cannot be used elsewhere
        one = None if descriptors is None else _plain(descriptors[i])
        yield Analysis(_plain(maps[i]), _plain(reliability[i, 0]), one)


def _laid_into(part: Analysis, box: Box, size: tuple[int, int]) -> Analysis:
    """Return the analysis of the whole image, whose pixels have the same pitch as those of the part."""
    (height, width), (left, top, right, bottom) = part.map.shape[1:], box
    sizes, pads = [], []
    for length, low, high, cells in ((size[1], top, bottom, height), (size[0], left, right, width)):
        whole = min(_LARGEST_GROWTH * cells, max(cells, round(cells * length / (high - low))))
        inner = max(1, round(whole * (high - low) / length))  # smaller than the part where growth is bounded
        first = min(round(whole * low / length), whole - inner)
        sizes.append(inner)
        pads.append((first, whole - inner - first))

    spread = (*pads[1], *pads[0])
    fitted = coords.resize_map(part.map[None], sizes[0], sizes[1])
    reliability = F.interpolate(part.reliability[None, None], sizes, mode="bilinear", align_corners=False)
    # descriptors have a size of their own, and describe the part only: nobody may take them for the image's
    return Analysis(F.pad(fitted, spread, mode="replicate")[0], F.pad(reliability, spread)[0, 0])


def _plain(tensor: Tensor) -> Tensor:
    return torch.from_numpy(tensor.numpy().copy())


class AnalysisCache:
    """Maps by (content of the image, model), as float16: in memory, and in a folder if one is given.

    With it, propagating again after an edit of the reference runs no network. Descriptors are not kept.

    Args:
        model_id: What tells models apart, such as the fingerprint of the model file.
        folder: Where maps are kept between runs; None keeps them in memory only.
        entries: How many maps stay in memory.
    """

    def __init__(self, model_id: str, *, folder: Path | None = None, entries: int = 4096) -> None:
        self._model_id = model_id
        self._folder = folder
        self._entries = entries
        self._memory: OrderedDict[str, npt.NDArray[np.float16]] = OrderedDict()

    def key(self, image: Image) -> str:
        """Return the key of an image: a digest of its pixels, its size and the model."""
        digest = hashlib.blake2b(repr((self._model_id, image.shape)).encode(), digest_size=20)
        digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def get(self, key: str) -> Analysis | None:
        """Return what is kept under ``key``, None if nothing usable is."""
        values = self._memory.get(key)
        if values is None and self._folder is not None:
            values = self._read(self._path(key))
            if values is not None:
                self._remember(key, values)
        if values is None:
            return None
        self._memory.move_to_end(key)
        tensor = torch.from_numpy(values.astype(np.float32))
        return Analysis(tensor[:2], tensor[2])

    def put(self, key: str, analysis: Analysis) -> None:
        """Keep map and reliability of ``analysis`` under ``key``."""
        values = torch.cat([analysis.map, analysis.reliability[None]]).numpy().astype(np.float16)
        self._remember(key, values)
        if self._folder is not None:
            with atomic_path(self._path(key)) as temporary, temporary.open("wb") as stream:
                np.save(stream, values, allow_pickle=False)

    def _remember(self, key: str, values: npt.NDArray[np.float16]) -> None:
        self._memory[key] = values
        self._memory.move_to_end(key)
        while len(self._memory) > self._entries:
            self._memory.popitem(last=False)

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / key[:2] / f"{key}.npy"

    @staticmethod
    def _read(path: Path) -> npt.NDArray[np.float16] | None:
        try:
            values: npt.NDArray[Any] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None  # absent or damaged: it is computed again
        return values if values.dtype == np.float16 and values.ndim == 3 and len(values) == 3 else None
