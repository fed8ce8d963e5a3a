"""The bill of materials as CycloneDX JSON."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from installers.inventory import Component
from installers.product import Product

SPEC_VERSION = "1.6"
_SPDX = re.compile(r"^\(?[A-Za-z0-9.+-]+( (AND|OR|WITH) \(?[A-Za-z0-9.+-]+\)?)*\)?$")
_KNOWN = re.compile(
    r"^\(?(0BSD|AFL|Apache|BSD|BSL|CC0|CC-BY|CNRI|GPL|HPND|ISC|LGPL|MIT|MPL|NCSA|OFL|PSF|Python|Unlicense|Zlib)\b"
)


def bill(
    product: Product, components: Sequence[Component], *, when: datetime | None = None
) -> dict[str, Any]:
    """Return the bill of materials of the product.

    Args:
        product: What is described.
        components: What it holds, itself included.
        when: Time of the build; now if None.
    """
    parts = [part for part in components if part.origin != "project"]
    names = "\n".join(sorted(part.purl for part in parts))
    reference = f"pkg:generic/{product.command}@{product.version}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, reference + names)}",
        "version": 1,
        "metadata": {
            "timestamp": (when or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": reference,
                "name": product.name,
                "version": product.version,
                "description": product.summary,
                "purl": reference,
            },
        },
        "components": [_component(part) for part in parts],
        "dependencies": [{"ref": reference, "dependsOn": [part.purl for part in parts]}],
    }


def _component(part: Component) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "library",
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
        "properties": [{"name": "coordlabel:files", "value": str(part.files)}],
    }
    if part.licence:
        entry["licenses"] = [_licence(part.licence)]
    if part.homepage.startswith("http"):
        entry["externalReferences"] = [{"type": "website", "url": part.homepage}]
    return entry


def _licence(text: str) -> dict[str, Any]:
    """Return an expression where ``text`` is one of SPDX, else a licence by name."""
    if _SPDX.match(text) and _KNOWN.match(text):
        return {"expression": text}
    return {"license": {"name": text}}
