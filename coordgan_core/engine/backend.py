"""What the engine can do: models, correspondence, propagation, refinement; loads PyTorch on first need."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coordgan_core.config import from_dict
from coordgan_core.data.images import read_image
from coordgan_core.engine.explorer import Explorer
from coordgan_core.engine.protocol import Request
from coordgan_core.engine.server import Answer
from coordgan_core.engine.suggestions import Codes
from coordgan_core.errors import ConfigError, CoordError, LabelError
from coordgan_core.labels import LabelMap

if TYPE_CHECKING:
    from coordgan_core.predictor import Analysis, Predictor

FLOW_MODEL = "builtin:flow"
"""Propagation by optical flow, for when there is no model of the category."""

_KEPT_MODELS = 2
_KEPT_ANALYSES = 64
_KEPT_MAPS = 1024  # about 100 MB at 128 pixels
_FLOW_PX = 128

Stream = Generator[Answer, None, Answer | None]


class LocalBackend:
    """Runs requests in this process; models and analyses are kept for the next request."""

    def __init__(self) -> None:
        self._predictors: OrderedDict[tuple[str, ...], Predictor] = OrderedDict()
        self._analyses: OrderedDict[tuple[str, ...], Analysis] = OrderedDict()
        self._explorer = Explorer(self._predictor)

    def run(self, request: Request) -> Stream:
        """Yield the events of a request and return its final answer.

        Raises:
            ConfigError: A parameter is missing or wrong.
            CoordError: What the work itself raises.
        """
        verbs: dict[str, Callable[[Request], Stream]] = {
            "models": self._models,
            "link": self._link,
            "refine": self._refine,
            "propagate": self._propagate,
            "explore": self._explorer.run,
        }
        return (yield from verbs[request.verb](request))

    def _models(self, request: Request) -> Stream:
        """Describe the models of ``folders``; files that are no models are told with the reason."""
        yield from ()
        from coordgan_core.snapshot import inspect

        models, problems = [_flow_model()], []
        for folder in _strings(request.params, "folders"):
            for path in sorted(Path(folder).rglob("*.safetensors")):
                try:
                    models.append(_described(path, inspect(path).card.to_json()))
                except CoordError as error:
                    problems.append({"path": str(path), "message": str(error)})
                except OSError as error:
                    problems.append({"path": str(path), "message": str(error)})
        return {"models": models, "problems": problems}, {}

    def _link(self, request: Request) -> Stream:
        """Return the maps of two images, float16 ``[2, h, w]``, their reliabilities, and what ran it all."""
        yield from ()
        names = ("image", "reference")
        found = [self._analysis(request, _string(request.params, name)) for name in names]
        arrays: dict[str, Any] = {}
        for name, analysis in zip(names, found, strict=True):
            arrays[f"{name}_map"] = analysis.map.numpy().astype(np.float16)
            arrays[f"{name}_reliability"] = analysis.reliability.numpy().astype(np.float16)
        return {"runtime": self._predictor(request).runtime}, arrays

    def _refine(self, request: Request) -> Stream:
        """Return ``labels`` with their borders moved to the edges of ``image``."""
        yield from ()
        from coordgan_core.refine import refine

        labels = _labels(request, "labels")
        pixels = read_image(Path(_string(request.params, "image")))
        classes = [int(i) for i in np.unique(labels)]
        soft = np.stack([labels == i for i in classes]).astype(np.float32)
        return {}, {"labels": refine(soft, pixels, classes=classes).labels}

    def _propagate(self, request: Request) -> Stream:
        """Yield progress, a result or an error for each query, and what to label next."""
        references = _references(request)
        queries = request.params.get("queries", [])
        if not isinstance(queries, list):
            raise ConfigError("the queries are no list", expected="a list of images")
        if _string(request.params, "model") == FLOW_MODEL:
            predict, batch, codes = _flow(references), 1, Codes()
        else:
            predict, batch, codes = self._by_model(request, references)
        done = failed = 0
        yield {"event": "progress", "done": 0, "total": len(queries)}, {}
        with ThreadPoolExecutor(1, thread_name_prefix="engine images") as pool:
            for part in _read_ahead(pool, queries, batch):
                for query, answer in zip(part.queries, _answers(predict, part.images), strict=True):
                    if isinstance(answer, CoordError):
                        failed += 1
                        yield {"event": "error", "image": query.get("id"), "message": str(answer)}, {}
                    else:
                        codes.take(query.get("id"), answer[0].get("score"))
                        yield {"event": "result", "image": query.get("id"), **answer[0]}, answer[1]
                    done += 1
                    yield {"event": "progress", "done": done, "total": len(queries)}, {}
        return {"done": done, "failed": failed, "suggestion": codes.suggestion()}, {}

    def _by_model(self, request: Request, references: Sequence[Reference]) -> tuple[Predict, int, Codes]:
        """Return what propagates a batch by a model, the size of a good batch, and where codes are kept."""
        from coordgan_core import propagation
        from coordgan_core.snapshot import load_calibration

        predictor = self._predictor(request)
        given = request.params.get("options") or {}
        options = from_dict(propagation.PropagationOptions, {"keep_raw": False, **given})
        propagator = propagation.Propagator(
            predictor,
            [propagation.Reference(image, labels, name=name) for name, image, labels in references],
            options=options,
            calibration=load_calibration(_string(request.params, "model")),
        )

        codes = Codes([a.code() for a in predictor.analyse([image for _, image, _ in references])])

        def predict(images: Sequence[Image]) -> Iterator[Answer]:
            for image, analysis in zip(images, predictor.analyse(images), strict=True):
                found = propagator.label(image, analysis)
                codes.present = analysis.code()
                yield _result(found.labels, found.confidence, found.score)

        return predict, predictor.batch, codes

    def _analysis(self, request: Request, path: str) -> Analysis:
        file = Path(path)
        status = file.stat() if file.exists() else None
        key = (_string(request.params, "model"), path, str(status and status.st_mtime_ns))
        if key not in self._analyses:
            self._analyses[key] = self._predictor(request).analyse([read_image(file)])[0]
            while len(self._analyses) > _KEPT_ANALYSES:
                self._analyses.popitem(last=False)
        self._analyses.move_to_end(key)
        return self._analyses[key]

    def _predictor(self, request: Request) -> Predictor:
        """Return the model of a request, loaded once."""
        from coordgan_core.predictor import AnalysisCache, Predictor
        from coordgan_core.snapshot import load_model

        path = Path(_string(request.params, "model"))
        device = str(request.params.get("device", "auto"))
        precision: Any = str(request.params.get("precision", "auto"))
        key = (str(path), device, precision, str(path.stat().st_mtime_ns if path.exists() else 0))
        if key not in self._predictors:
            model = load_model(path)
            # propagating again after a correction of the reference then runs no network
            cache = AnalysisCache("/".join(key), entries=_KEPT_MAPS)
            self._predictors[key] = Predictor(model, device=device, precision=precision, cache=cache)
            while len(self._predictors) > _KEPT_MODELS:
                self._predictors.popitem(last=False)
        self._predictors.move_to_end(key)
        return self._predictors[key]


Image = npt.NDArray[np.uint8]
Reference = tuple[str, Image, LabelMap]
"""Name, image ``uint8 [H, W, 3]`` and label map ``uint8 [H, W]``."""
Predict = Callable[[Sequence[Image]], Iterator[Answer]]
"""From a batch of images to the plain values and arrays of their results."""


@dataclass(frozen=True)
class _Part:
    """Queries that are computed together, with their images or the reason why one cannot be read."""

    queries: list[Mapping[str, Any]]
    images: list[Image | CoordError]


def _read_ahead(pool: ThreadPoolExecutor, queries: Sequence[Any], batch: int) -> Iterator[_Part]:
    """Yield batches of queries, reading the next one while the caller works on the present one."""

    def read(part: list[Any]) -> _Part:
        return _Part(part, [_readable(query) for query in part])

    parts = [list(queries[start : start + batch]) for start in range(0, len(queries), batch)]
    waiting = pool.submit(read, parts[0]) if parts else None
    for following in [*parts[1:], None]:
        if waiting is None:
            return
        present = waiting.result()
        waiting = pool.submit(read, following) if following is not None else None
        yield present


def _readable(query: Any) -> Image | CoordError:
    try:
        return read_image(Path(_string(query, "path")))
    except CoordError as error:
        return error


def _answers(predict: Predict, images: Sequence[Image | CoordError]) -> Iterator[Answer | CoordError]:
    """Yield the answer of each image as soon as it is there; one bad image spoils no other."""
    results = predict([image for image in images if not isinstance(image, CoordError)])
    alone = False
    for image in images:
        if isinstance(image, CoordError):
            yield image
            continue
        try:
            yield next(iter(predict([image]))) if alone else next(results)
        except CoordError as error:
            alone = True  # the batch has ended with the error
            yield error


def _result(labels: LabelMap, confidence: npt.NDArray[np.float32], score: float) -> Answer:
    """Return the answer of one query; the confidence travels as it is stored, in 8 bits."""
    sums = np.bincount(labels.ravel(), weights=confidence.ravel(), minlength=256)
    counts = np.bincount(labels.ravel(), minlength=256)
    scores = {str(c): float(sums[c] / counts[c]) for c in np.flatnonzero(counts) if c}
    packed = np.rint(255.0 * np.clip(confidence, 0.0, 1.0)).astype(np.uint8)
    return {"score": float(score), "class_scores": scores}, {"labels": labels, "confidence": packed}


def _flow(references: Sequence[Reference]) -> Predict:
    """Propagate by optical flow: each reference is warped to the query, and the classes are voted on."""
    from coordgan_core.flow import Peer
    from coordgan_core.labels import resize_labels

    peers = [Peer("dis-gradient", image, labels, size=_FLOW_PX) for _, image, labels in references]

    def predict(images: Sequence[Image]) -> Iterator[Answer]:
        for image in images:
            votes = np.stack([peer.propagate(image) for peer in peers])
            classes = np.unique(votes)
            counts = np.stack([(votes == c).sum(0) for c in classes])
            labels = classes[counts.argmax(0)].astype(np.uint8)
            height, width = image.shape[:2]
            # no confidence: nobody has measured how often flow is right on such images
            values: dict[str, Any] = {"score": None, "class_scores": {}, "note": "optical flow"}
            yield values, {"labels": resize_labels(labels, width, height)}

    return predict


def _references(request: Request) -> list[Reference]:
    items = request.params.get("references", [])
    if not isinstance(items, list) or not items:
        raise ConfigError("there is no reference", expected="at least one labelled image")
    found = []
    for index, item in enumerate(items):
        path = Path(_string(item, "path"))
        image, labels = read_image(path), _labels(request, f"labels{index}")
        if labels.shape != image.shape[:2]:
            raise LabelError(
                f"the labels of {path.name} have {labels.shape[1]} x {labels.shape[0]} pixels, "
                f"the image {image.shape[1]} x {image.shape[0]}",
                expected="labels of the size of the image",
                remedy="open the reference and label it again",
            )
        found.append((path.name, image, labels))
    return found


def _flow_model() -> dict[str, Any]:
    text = "Follows the parts by optical flow. For images that look much alike; it has no confidence."
    return {
        "id": FLOW_MODEL,
        "name": "Optical flow",
        "category": "",
        "path": "",
        "builtin": True,
        "card": {"description": text},
    }


def _described(path: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    shown = {k: v for k, v in card.items() if k != "sample_strip"}
    return {
        "id": str(path),
        "name": str(card.get("name") or path.stem),
        "category": str(card.get("category") or ""),
        "path": str(path),
        "builtin": False,
        "card": shown,
    }


def _string(values: Any, key: str) -> str:
    value = values.get(key) if isinstance(values, Mapping) else None
    if not isinstance(value, str) or not value:
        raise ConfigError(f"the parameter {key} is {value!r}", expected="a text")
    return value


def _strings(values: Mapping[str, Any], key: str) -> Iterator[str]:
    items = values.get(key, [])
    return iter([i for i in items if isinstance(i, str)] if isinstance(items, list) else [])


def _labels(request: Request, name: str) -> LabelMap:
    labels = request.arrays.get(name)
    if labels is None or labels.ndim != 2 or labels.dtype != np.uint8:
        raise ConfigError(f"the array {name} is missing or no label map", expected="uint8 [H, W]")
    return labels
