"""Templates: ``@NAME@`` in a file is replaced by a value of the product."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from installers.product import Product

_FIELD = re.compile(r"@([A-Z][A-Z_]+)@")


def values(product: Product, **more: str) -> dict[str, str]:
    """Return the fields of a product as templates name them, and ``more`` of them."""
    return {
        "NAME": product.name,
        "COMMAND": product.command,
        "VERSION": product.version,
        "SUMMARY": product.summary,
        "APP_ID": product.app_id,
        "PUBLISHER": product.publisher,
        "MIME_TYPE": product.mime_type,
        **{name.upper(): value for name, value in more.items()},
    }


def render(template: Path, fields: Mapping[str, str]) -> str:
    """Return a template with its fields filled in; in XML the values are escaped.

    Raises:
        KeyError: The template names a field that has no value.
    """
    is_xml = ".xml" in template.name or ".plist" in template.name
    return _FIELD.sub(
        lambda match: escape(fields[match[1]]) if is_xml else fields[match[1]],
        template.read_text(encoding="utf-8"),
    )
