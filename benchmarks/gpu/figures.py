"""Label quality of a model on a packed folder: the figures of a slice and of a variant."""

from __future__ import annotations

from pathlib import Path

import tree  # noqa: F401
from quality_runs import load

from coordgan_core.evaluation import Evaluation, evaluate
from coordgan_core.predictor import Predictor
from coordgan_core.propagator import PropagationOptions
from coordgan_core.snapshot import load_model


def label_iou(
    model: Path,
    data: Path,
    *,
    protocol: str = "",
    queries: int = 60,
    device: str = "auto",
    by_code: bool = False,
) -> dict[str, float]:
    """Return mean IoU and foreground IoU with one reference, and the same without residual alignment.

    Args:
        model: The model file.
        data: Folder with images/, labels/, classes.json and references.txt.
        protocol: Merges classes.
        queries: How many labelled images receive labels.
        device: Where the model runs.
        by_code: Use the map of the structure code in place of the embedding's.
    """
    network = load_model(model)
    if by_code:
        network.embedding = network.dense_head = None
    predictor = Predictor(network, device=device)
    references, asked, rules = load(data, protocol=protocol, limit=queries)
    found: dict[str, float] = {"queries": len(asked)}
    for name, options in (("", PropagationOptions()), ("_unaligned", PropagationOptions(align=None))):
        *_, result = evaluate(predictor, references, asked, rules, options=options)
        assert isinstance(result, Evaluation)
        found |= {f"miou{name}": result.miou, f"foreground_iou{name}": result.foreground_iou}
    return found
