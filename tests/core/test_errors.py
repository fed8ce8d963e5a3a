from __future__ import annotations

from coordgan_core.errors import ConfigError, CoordError, ImageError


def test_names_keep_their_letters() -> None:
    error = ImageError("figure-01.jpg ends too early", expected="a whole file.", remedy="copy it again.")
    assert str(error) == "figure-01.jpg ends too early. Expected a whole file. Copy it again."


def test_what_is_not_known_is_left_out() -> None:
    assert str(ConfigError("dense_head is 3")) == "dense_head is 3."
    assert str(CoordError("x is 3", remedy="choose 4")) == "x is 3. Choose 4."
    assert str(CoordError("x is 3", expected="4")) == "x is 3. Expected 4."
