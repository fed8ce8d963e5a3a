"""The models that ship with the program: what each was trained on, its terms, and what it is measured on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BundledSet:
    """The data of one bundled model.

    Args:
        category: What the images show.
        data: What it was trained on, for its card.
        licence: What that data allows, for its card.
        folders: Names of labelled folders that it is measured on, the one of its main figure first.
        protocol: Merges the classes of these folders; empty for none.
        research_use: Whether the data allow research only; such a model is marked everywhere.
    """

    category: str
    data: str
    licence: str
    folders: tuple[str, ...]
    protocol: str = ""
    research_use: bool = True


SETS: dict[str, BundledSet] = {
    "sample": BundledSet(
        category="drawn figures",
        data="4,000 pictures drawn by benchmarks/make_synthetic.py, seed 0, 128 px",
        licence="as this project: every picture was drawn by its own code",
        folders=(),
        research_use=False,
    ),
    "faces": BundledSet(
        category="faces",
        data="UTKFace (aligned and cropped faces), framed like CelebAMask-HQ, whose labels measure it",
        licence="research use: UTKFace and CelebAMask-HQ allow non-commercial research only",
        folders=("faces-tight",),
        protocol="celebamask-7",
    ),
    # The networks of `faces`, seeing the part of a wider picture that is framed like their training images.
    "faces-wide": BundledSet(
        category="faces with hair and neck",
        data="UTKFace (aligned and cropped faces); it sees the middle of pictures framed as in "
        "CelebAMask-HQ, whose labels measure it",
        licence="research use: UTKFace and CelebAMask-HQ allow non-commercial research only",
        folders=("faces-wide",),
        protocol="celebamask-7",
    ),
    "xrays": BundledSet(
        category="chest X-rays",
        data="chest films of children (Kermany et al.) and of adults, cut to the lungs; JSRT films with SCR "
        "labels measure it",
        licence="research use: the children's films are CC BY 4.0, the adults' films come without stated "
        "terms, the SCR labels allow research only",
        folders=("xrays",),
    ),
    "cats": BundledSet(
        category="cats",
        data="AFHQ, the cats",
        licence="research use: AFHQ is CC BY-NC 4.0, non-commercial",
        folders=("cats",),
    ),
    "cars": BundledSet(
        category="cars",
        data="Stanford Cars, cut to their boxes: front three-quarter views, facing the image's left",
        licence="research use: Stanford Cars is for research, non-commercial",
        folders=("cars",),
    ),
}
"""By the name of the model's file in resources/models."""

BARS = {
    "faces-tight": (0.62, 0.74),
    "faces-wide": (0.62, 0.74),
    "xrays": (0.78, 0.88),
    "cars": (0.32, 0.50),
    "cats": (0.60, 0.75),
}
"""Bar and aim of the ordinary mean IoU with one reference, by folder."""


def model_for(folder: str) -> str:
    """Return the name of the bundled model for a folder of `../shared/data`, else that of the folder."""
    return next((name for name, of in SETS.items() if folder in of.folders), folder)


def protocol_for(folder: str) -> str:
    """Return the protocol by which a folder of `../shared/data` is measured, empty for none."""
    return next((of.protocol for of in SETS.values() if folder in of.folders), "")
