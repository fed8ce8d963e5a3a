from __future__ import annotations

from coordgan_core.data.images import image_size


def test_atlas_and_exact_affinity_agree(script, monkeypatch):
    propagation = script("propagation")
    monkeypatch.setattr(propagation, "SIZE", 40)
    figures = propagation.measure(1)
    assert figures["speedup"] > 1
    assert figures["agreement"] > 0.9
    assert figures["iou_difference"] < 0.1


def test_synthetic_pictures_are_the_same_again_and_stay(script, tmp_path):
    make = script("make_synthetic").make
    make(tmp_path / "a", count=2, size=32)
    make(tmp_path / "b", count=2, size=32)
    names = ["00000.jpg", "00001.jpg"]
    assert [p.name for p in sorted((tmp_path / "a").iterdir())] == names
    assert [(tmp_path / "a" / n).read_bytes() for n in names] == [
        (tmp_path / "b" / n).read_bytes() for n in names
    ]
    assert image_size(tmp_path / "a" / names[0]) == (32, 32)
    (tmp_path / "a" / names[0]).write_bytes(b"mine")
    make(tmp_path / "a", count=2, size=32)
    assert (tmp_path / "a" / names[0]).read_bytes() == b"mine"
