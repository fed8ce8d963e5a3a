import numpy as np
import torch

from coordgan_core.predictor import AnalysisCache, Predictor
from tests.core.propagation_stubs import ShiftModel, picture


def pictures():
    return [picture(96, 96)[0], picture(50, 120)[0], picture(200, 64, (0.1, 0.0))[0]]


def test_images_of_any_size_are_analysed_in_order_whatever_the_batch():
    whole = Predictor(ShiftModel(), device="cpu", batch=8).analyse(pictures())
    single = Predictor(ShiftModel(), device="cpu", batch=1).analyse(pictures())
    assert [a.map.shape for a in whole] == [torch.Size([2, 32, 32])] * 3
    for a, b in zip(whole, single, strict=True):
        assert torch.equal(a.map, b.map)
        assert a.map.dtype == torch.float32
        assert not a.map.is_inference()
    assert whole[2].map[0].mean() < whole[0].map[0].mean() - 0.05


def test_the_cache_spares_the_network_and_survives_in_a_folder(tmp_path):
    model = ShiftModel()
    first = Predictor(model, device="cpu", cache=AnalysisCache("m", folder=tmp_path)).analyse(pictures())
    again = Predictor(model, device="cpu", cache=AnalysisCache("m", folder=tmp_path)).analyse(pictures())
    assert model.calls == 1
    for a, b in zip(first, again, strict=True):
        assert (a.map - b.map).abs().max() < 1e-3
    Predictor(model, device="cpu", cache=AnalysisCache("other", folder=tmp_path)).analyse(pictures())
    assert model.calls == 2


def test_a_damaged_cache_file_is_computed_again(tmp_path):
    model = ShiftModel()
    Predictor(model, device="cpu", cache=AnalysisCache("m", folder=tmp_path)).analyse(pictures())
    for path in tmp_path.rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:50])
    Predictor(model, device="cpu", cache=AnalysisCache("m", folder=tmp_path)).analyse(pictures())
    assert model.calls == 2


def test_the_cache_forgets_the_oldest():
    cache = AnalysisCache("m", entries=2)
    predictor = Predictor(ShiftModel(), device="cpu", cache=cache)
    images = pictures()
    predictor.analyse(images)
    kept = [cache.get(cache.key(image)) is not None for image in images]
    assert kept == [False, True, True]


def test_images_of_equal_bytes_but_other_shape_have_other_keys():
    cache = AnalysisCache("m")
    flat = np.zeros((2, 8, 3), np.uint8)
    assert cache.key(flat) != cache.key(flat.reshape(4, 4, 3))


def test_networks_run_in_float32_unless_asked(monkeypatch):
    seen = []

    class Spy(ShiftModel):
        def correspondence(self, images):
            seen.append(torch.is_autocast_enabled("cpu"))
            return super().correspondence(images)

    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    for precision in ("auto", "float32", "bfloat16"):
        Predictor(Spy(), device="cpu", precision=precision).analyse(pictures()[:1])
    assert seen == [False, False, True]
