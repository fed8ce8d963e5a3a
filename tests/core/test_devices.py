from __future__ import annotations

import pytest
import torch

from coordgan_core.devices import multiplies_bfloat16, resolve_device, uses_bfloat16
from coordgan_core.errors import ConfigError

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu-9", "cuda:99", "nonsense", ""])
def test_a_device_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="the device .*coordlabel doctor"):
        resolve_device(name)


def test_auto_is_what_there_is() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == CPU


def test_every_process_takes_the_device_of_its_local_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda", local_rank=1) == torch.device("cuda", 1)
    assert resolve_device("cuda") == torch.device("cuda", 0)
    with pytest.raises(ConfigError, match="cuda:2 .*one of 2 CUDA devices"):
        resolve_device("cuda", local_rank=2)


@pytest.mark.parametrize("instructions", [(), ("amx_tile",), ("avx512_bf16",)])
def test_auto_precision_asks_the_cpu(monkeypatch: pytest.MonkeyPatch, instructions: tuple[str, ...]) -> None:
    for name in ("amx_tile", "avx512_bf16"):
        there = name in instructions
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda there=there: there, raising=False)
    assert multiplies_bfloat16(CPU) == uses_bfloat16("auto", CPU) == bool(instructions)
    assert uses_bfloat16("bfloat16", CPU)
    assert not uses_bfloat16("float32", CPU)
