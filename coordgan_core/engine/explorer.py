"""What the engine answers for the views of Explore: maps, grids, reconstructions, walks.

Every picture is an event of its own, so that a view fills as the work goes on and stops at once. Codes of
images are kept for the next request; pixels are not.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coordgan_core.data.crop import crop_image
from coordgan_core.data.images import read_image, resize
from coordgan_core.engine.explore_requests import (
    Pixels,
    Source,
    amounts_of,
    is_about_a_file,
    model_key,
    model_name,
    parts,
    path_of,
    problem,
    readable,
    side_of,
    sources,
)
from coordgan_core.engine.protocol import Request
from coordgan_core.engine.server import Answer
from coordgan_core.errors import ConfigError, CoordError

if TYPE_CHECKING:
    from torch import Tensor

    from coordgan_core.explore import Abilities, Walk
    from coordgan_core.models.codes import Codes
    from coordgan_core.predictor import Analysis, Predictor

Stream = Generator[Answer, None, Answer | None]

FRAME_PX = 128
_READ_PX = 512  # networks of at most this side see images: what is larger is decoded smaller
_BATCH = 4  # renders between two chances to cancel
_KEPT_CODES = 1024
_KEPT_WALKS = 4


class Explorer:
    """Answers requests with the verb ``explore``; ``what`` names the view.

    Args:
        predictor: Returns the model of a request, loaded once.
    """

    def __init__(self, predictor: Callable[[Request], Predictor]) -> None:
        self._predictor = predictor
        self._codes: OrderedDict[tuple[str, ...], Codes] = OrderedDict()
        self._walks: OrderedDict[tuple[str, ...], Walk] = OrderedDict()
        self._abilities: dict[str, Abilities] = {}

    def run(self, request: Request) -> Stream:
        """Yield the events of a request and return its final answer.

        Raises:
            ConfigError: A parameter is missing or wrong.
            ModelError: The model lacks the part that the view needs.
        """
        views: dict[str, Callable[[Request, Predictor], Stream]] = {
            "abilities": self._tell_abilities,
            "maps": self._maps,
            "grid": self._grid,
            "reconstruct": self._reconstruct,
            "directions": self._directions,
            "walk": self._steps,
        }
        what = request.params.get("what")
        if what not in views:
            raise ConfigError(f"there is no view {what!r}", expected=f"one of {', '.join(views)}")
        return (yield from views[str(what)](request, self._predictor(request)))

    # --- the views

    def _tell_abilities(self, request: Request, predictor: Predictor) -> Stream:
        yield from ()
        found = self._able(request, predictor)
        values = {"maps": found.maps, "encodes": found.encodes, "draws": found.draws}
        return {**values, "resolution": found.resolution}, {}

    def _maps(self, request: Request, predictor: Predictor) -> Stream:
        """Yield image, map, reliability and the map in colour for each image; return the frame's average."""
        from coordgan_core.coords import resize_map
        from coordgan_core.data.pixels import to_tensor
        from coordgan_core.pictures import CanonicalAverage, canonical_frame, colour_map

        self._able(request, predictor).require_maps(model_name(request))
        side = side_of(request)
        average = CanonicalAverage(FRAME_PX)
        step = _BATCH if predictor.device.type == "cpu" else predictor.batch
        for part in parts(readable(request, "images", side), step):
            found = iter(predictor.analyse([p for _, p in part if not isinstance(p, CoordError)]))
            for index, pixels in part:
                if isinstance(pixels, CoordError):
                    yield problem(index, pixels), {}
                    continue
                analysis = next(found)
                seen = _where_seen(predictor, analysis)
                colours = colour_map(resize_map(seen[None], *pixels.shape[:2]))
                average.add(to_tensor(pixels), seen[None])
                arrays = {
                    "image": pixels,
                    "colours": _pixels(colours)[0],
                    "map": seen.numpy(),
                    "reliability": analysis.reliability.numpy().astype(np.float16),
                }
                yield {"event": "map", "index": index}, arrays
        picture, known = average.picture()
        frame = _pixels(canonical_frame(FRAME_PX)[None])[0]
        alpha = np.where(known.numpy(), 255, 0).astype(np.uint8)
        return {}, {"frame": frame, "average": _pixels(picture[None])[0], "known": alpha}

    def _grid(self, request: Request, predictor: Predictor) -> Stream:
        """Yield the heads, then the cells row by row: rows are structures and columns textures, or turned."""
        rows_are = request.params.get("rows_are", "structure")
        if rows_are not in ("structure", "texture"):
            raise ConfigError(f"rows are {rows_are!r}", expected="structure or texture")
        heads: dict[str, list[Codes | None]] = {}
        for axis in ("row", "column"):
            heads[axis] = []
            for index, source in enumerate(sources(request, f"{axis}s")):
                event, arrays, codes = self._head(request, predictor, source)
                heads[axis].append(codes)
                yield {**event, "axis": axis, "index": index}, arrays
        for r, row in enumerate(heads["row"]):
            if row is None:
                continue
            columns = [(c, codes) for c, codes in enumerate(heads["column"]) if codes is not None]
            for start in range(0, len(columns), _BATCH):
                part = columns[start : start + _BATCH]
                pictures = _swapped(predictor, row, [codes for _, codes in part], str(rows_are))
                for (c, _), picture in zip(part, pictures, strict=True):
                    yield {"event": "cell", "row": r, "column": c}, {"image": picture}
        return {}, {}

    def _head(
        self, request: Request, predictor: Predictor, source: Source
    ) -> tuple[dict[str, Any], dict[str, Any], Codes | None]:
        """Return the event that shows one source, and its codes; a file that cannot be read is a problem."""
        try:
            codes = self._codes_of(request, predictor, source)
            if "path" in source:
                pixels = _seen(predictor, read_image(Path(path_of(source)), max_side=side_of(request)))
                aspect = pixels.shape[1] / pixels.shape[0]
            else:
                pixels, aspect = _rendered(predictor, codes)[0], 1.0
        except (CoordError, OSError) as error:
            if isinstance(error, CoordError) and not is_about_a_file(error):
                raise
            return problem(0, error), {}, None
        return {"event": "head", "aspect": aspect}, {"image": pixels}, codes

    def _reconstruct(self, request: Request, predictor: Predictor) -> Stream:
        """Yield input, reconstruction and their difference at the model's resolution, image by image."""
        able = self._able(request, predictor)
        able.require_encoder(model_name(request))
        for index, source in enumerate(sources(request, "images")):
            try:
                pixels = _seen(predictor, read_image(Path(path_of(source)), max_side=_READ_PX))
                codes = self._codes_of(request, predictor, source)
            except (CoordError, OSError) as error:
                yield problem(index, error), {}
                continue
            seen = resize(pixels, able.resolution, able.resolution)
            output = _rendered(predictor, codes)[0]
            gap = np.abs(output.astype(np.int16) - seen).astype(np.uint8)
            event = {"event": "pair", "index": index, "aspect": pixels.shape[1] / pixels.shape[0]}
            event["difference"] = float(gap.mean() / 255)
            yield event, {"image": seen, "output": output, "difference": gap}
        return {}, {}

    def _directions(self, request: Request, predictor: Predictor) -> Stream:
        """Return how the pool's images differ: the share of each direction of structure and of texture."""
        walk = yield from self._walk(request, predictor)
        shares = {
            "structure": walk.structure.shares.tolist(),
            "texture": walk.texture.shares.tolist(),
            "images": walk.images,
            "follows_maps": walk.has_maps,
        }
        return shares, {}

    def _steps(self, request: Request, predictor: Predictor) -> Stream:
        """Yield an image and its map in colour for each pair of amounts."""
        import torch

        walk = yield from self._walk(request, predictor)
        base = walk.mean()
        if request.params.get("base"):
            base = self._codes_of(request, predictor, request.params["base"])
        structure = torch.tensor(amounts_of(request, "structure", len(walk.structure.sigmas)))
        texture = torch.tensor(amounts_of(request, "texture", len(walk.texture.sigmas)))
        if len(structure) != len(texture):
            raise ConfigError("amounts of structure and texture of different counts")
        for start in range(0, len(structure), _BATCH):
            part = slice(start, start + _BATCH)
            codes = walk.at(base, structure[part], texture[part])
            pictures, colours = _rendered(predictor, codes), _coloured(predictor, codes)
            for offset, (picture, colour) in enumerate(zip(pictures, colours, strict=True)):
                yield {"event": "step", "index": start + offset}, {"image": picture, "colours": colour}
        return {}, {}

    # --- models and codes

    def _able(self, request: Request, predictor: Predictor) -> Abilities:
        from coordgan_core.explore import abilities

        key = model_key(request)
        if key not in self._abilities:
            self._abilities[key] = abilities(predictor.model)
        return self._abilities[key]

    def _codes_of(self, request: Request, predictor: Predictor, source: Source) -> Codes:
        """Return the codes of a source, a batch of one."""
        from coordgan_core.explore import draw_codes

        able = self._able(request, predictor)
        if "seed" in source:
            seed = int(source["seed"])
            if able.draws:
                return _with_maps(predictor, draw_codes(predictor.model, [seed]))
            able.require_encoder(model_name(request))
            return _finish(self._walk(request, predictor)).draw([seed])
        able.require_encoder(model_name(request))
        path = Path(path_of(source))
        key = (model_key(request), str(path), str(path.stat().st_mtime_ns) if path.exists() else "")
        if key not in self._codes:
            self._codes[key] = _encoded(predictor, read_image(path, max_side=_READ_PX))
            while len(self._codes) > _KEPT_CODES:
                self._codes.popitem(last=False)
        self._codes.move_to_end(key)
        return self._codes[key]

    def _walk(self, request: Request, predictor: Predictor) -> Generator[Answer, None, Walk]:
        """Return the directions of the pool of a request; images that cannot be read are left out."""
        from coordgan_core.explore import Walk, draw_codes
        from coordgan_core.models.codes import Codes

        able = self._able(request, predictor)
        pool = sources(request, "pool") if not able.draws else [{"seed": s} for s in range(256)]
        key = (model_key(request), *(str(sorted(source.items())) for source in pool))
        if key in self._walks:
            self._walks.move_to_end(key)
            return self._walks[key]
        if able.draws:
            walk = Walk(draw_codes(predictor.model, range(256)))
        else:
            able.require_encoder(model_name(request))
            known = []
            for index, source in enumerate(pool):
                try:
                    known.append(self._codes_of(request, predictor, {"path": path_of(source)}))
                except (CoordError, OSError) as error:
                    yield problem(index, error), {}
                yield {"event": "progress", "done": index + 1, "total": len(pool)}, {}
            if not known:
                raise ConfigError("there are no images to tell directions from", expected="three or more")
            walk = Walk(Codes.cat(known))
        self._walks[key] = walk
        while len(self._walks) > _KEPT_WALKS:
            self._walks.popitem(last=False)
        return walk


def _finish(walk: Generator[Answer, None, Walk]) -> Walk:
    """Run to the end what is wanted at once; its progress is nobody's business here."""
    while True:
        try:
            next(walk)
        except StopIteration as end:
            found: Walk = end.value
            return found


def _swapped(predictor: Predictor, row: Codes, columns: Sequence[Codes], rows_are: str) -> list[Pixels]:
    from coordgan_core.models.codes import Codes

    others = Codes.cat(list(columns))
    pairs = row.paired(others) if rows_are == "structure" else others.paired(row)
    return _rendered(predictor, pairs)


def _encoded(predictor: Predictor, pixels: Pixels) -> Codes:
    import torch

    from coordgan_core.data.pixels import to_tensor

    side, pixels = predictor.resolution, _seen(predictor, pixels)
    with torch.inference_mode():
        codes: Codes = predictor.model.encode(to_tensor(resize(pixels, side, side), predictor.device))
    return codes


def _seen(predictor: Predictor, pixels: Pixels) -> Pixels:
    """Return the part of an image that the model sees."""
    return np.ascontiguousarray(crop_image(predictor.crop, pixels))


def _where_seen(predictor: Predictor, analysis: Analysis) -> Tensor:
    """Return a map that is not a number where the model has not looked."""
    if predictor.crop.mode == "whole":
        return analysis.map
    return analysis.map.masked_fill(analysis.reliability <= 0.0, float("nan"))


def _with_maps(predictor: Predictor, codes: Codes) -> Codes:
    """Give drawn codes their maps where those of images have some, so that both fit into one batch."""
    model = predictor.model
    if model.embedding is None or not model.embedding.ready:
        return codes
    return dataclasses.replace(codes, maps=model.generator.warp(codes.structure))


def _rendered(predictor: Predictor, codes: Codes) -> list[Pixels]:
    import torch

    with torch.inference_mode():
        return list(_pixels(predictor.model.render(codes)))


def _coloured(predictor: Predictor, codes: Codes) -> list[Pixels]:
    import torch

    from coordgan_core.coords import resize_map
    from coordgan_core.pictures import colour_map

    with torch.inference_mode():
        maps = codes.maps if codes.maps is not None else predictor.model.generator.warp(codes.structure)
        return list(_pixels(colour_map(resize_map(maps.float(), FRAME_PX, FRAME_PX))))


def _pixels(images: Tensor) -> Pixels:
    from coordgan_core.data.pixels import to_uint8

    return to_uint8(images)
