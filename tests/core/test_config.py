from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from coordgan_core import config as configuration
from coordgan_core.config import (
    Config,
    EmbeddingConfig,
    EncoderConfig,
    GanConfig,
    ModelConfig,
    SynthesisConfig,
    TrainConfig,
    WarpConfig,
    check,
    from_dict,
    replace,
    to_dict,
)
from coordgan_core.errors import ConfigError
from coordgan_core.presets import PRESETS


def classes() -> list[type[Any]]:
    """Every configuration class of the module."""
    found = [c for c in vars(configuration).values() if isinstance(c, type) and dataclasses.is_dataclass(c)]
    assert len(found) == 16
    return found


def fields() -> Iterator[tuple[type[Any], dataclasses.Field[Any]]]:
    for cls in classes():
        for field in dataclasses.fields(cls):
            yield cls, field


OPTIONS = [
    pytest.param(field, id=f"{cls.__name__}.{field.name}")
    for cls, field in fields()
    if "help" in field.metadata
]


# ---- JSON


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name: str) -> None:
    text = json.dumps(to_dict(PRESETS[name]))
    again = from_dict(Config, json.loads(text))
    assert again == PRESETS[name]
    assert hash(again) == hash(PRESETS[name])
    assert again.preset == name


def test_parts_that_are_not_there_survive_json() -> None:
    model = ModelConfig(encoder=None, embedding=EmbeddingConfig(dim=8))
    assert from_dict(ModelConfig, json.loads(json.dumps(to_dict(model)))) == model


def test_absent_fields_keep_their_defaults() -> None:
    assert from_dict(Config, {}) == Config()
    assert from_dict(ModelConfig, {"warp": {"width": 64}}) == ModelConfig(warp=WarpConfig(width=64))


# ---- what is refused


def test_unknown_fields_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(WarpConfig, {"widht": 3, "width": 64})
    assert caught.value.found == "WarpConfig has no field widht"
    assert "width" in caught.value.expected


def test_unknown_nested_fields_are_named() -> None:
    with pytest.raises(ConfigError, match="GanConfig has no field chamfr"):
        from_dict(Config, {"train": {"gan": {"chamfr": 3.0}}})


@pytest.mark.parametrize(
    ("cls", "values", "names"),
    [
        (WarpConfig, {"width": "64"}, "WarpConfig.width is '64'"),
        (WarpConfig, {"width": 64.0}, "WarpConfig.width is 64.0"),
        (WarpConfig, {"width": True}, "WarpConfig.width is True"),
        (WarpConfig, {"width": None}, "WarpConfig.width is None"),
        (WarpConfig, {"residual": 1}, "WarpConfig.residual is 1"),
        (WarpConfig, {"grid": "middle"}, "WarpConfig.grid is 'middle'"),
        (SynthesisConfig, {"trunk_kernel": 2}, "trunk_kernel is 2"),
        (SynthesisConfig, {"trunk_kernel": True}, "trunk_kernel is True"),
        (SynthesisConfig, {"trunk_kernel": 1.0}, "trunk_kernel is 1.0"),
        (SynthesisConfig, {"upsample_channels": 64}, "upsample_channels is 64"),
        (SynthesisConfig, {"upsample_channels": [64, "32"]}, "upsample_channels is '32'"),
        (GanConfig, {"adversarial": "2"}, "GanConfig.adversarial is '2'"),
        (GanConfig, {"adversarial_ramp_nimg": [1, 2, 3]}, "adversarial_ramp_nimg is \\[1, 2, 3\\]"),
        (TrainConfig, {"stages": ["gan", "later"]}, "stages is 'later'"),
        (Config, {"preset": 3}, "Config.preset is 3"),
        (Config, {"model": 3}, "Config.model is 3"),
        (ModelConfig, {"encoder": []}, "ModelConfig.encoder is \\[\\]"),
        (ModelConfig, {"warp": EncoderConfig()}, "ModelConfig.warp is EncoderConfig"),
        (ModelConfig, {"warp": None}, "ModelConfig.warp is None"),
    ],
)
def test_wrong_types_are_refused(cls: type[Any], values: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        from_dict(cls, values)


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (WarpConfig, {"width": 8}),
        (WarpConfig, {"width": 4096}),
        (TrainConfig, {"batch": 1}),
        (TrainConfig, {"minutes": -1}),
        (TrainConfig, {"minutes": math.nan}),
        (TrainConfig, {"minutes": math.inf}),
        (GanConfig, {"adversarial_start": math.nan}),
        (GanConfig, {"adversarial_ramp_nimg": [-5, 10]}),
        (EmbeddingConfig, {"channels": [48, 0]}),
        (TrainConfig, {"stage_shares": [0.5, -0.5]}),
        (Config, {"model": {"mapping": {"layers": 0}}}),
    ],
)
def test_values_out_of_range_are_refused(cls: type[Any], values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"is .*Expected a value from .*choose a value in that range"):
        from_dict(cls, values)


def test_check_goes_into_nested_configurations() -> None:
    wrong = Config(model=ModelConfig(encoder=EncoderConfig(downsamplings=9)))
    with pytest.raises(ConfigError, match=r"EncoderConfig.downsamplings is 9. Expected a value from 2 to 6"):
        check(wrong)


def test_whole_numbers_serve_as_fractions() -> None:
    built = from_dict(GanConfig, {"adversarial": 3})
    assert built.adversarial == 3.0
    assert isinstance(built.adversarial, float)


# ---- replacing


def test_dotted_names_reach_nested_configurations() -> None:
    before = Config()
    after = replace(before, **{"train.gan.chamfer": 100.0, "model.resolution": 64, "preset": "mine"})
    assert (after.train.gan.chamfer, after.model.resolution, after.preset) == (100.0, 64, "mine")
    assert before == Config()
    assert (
        replace(after, **{"train.gan.chamfer": 200.0, "model.resolution": 128, "preset": "paper-128"})
        == before
    )


def test_replacing_a_whole_part() -> None:
    after = replace(Config(), **{"model.encoder": None, "model.embedding": {"dim": 8}})
    assert after.model.encoder is None
    assert after.model.embedding == EmbeddingConfig(dim=8)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train.gan.nothing", 1, "GanConfig has no field nothing"),
        ("nothing", 1, "Config has no field nothing"),
        ("model.dense_head.channels", 8, "dense_head is not part of this model"),
        ("train.batch", 0, "TrainConfig.batch is 0"),
        ("train.batch", "8", "TrainConfig.batch is '8'"),
        ("model", TrainConfig(), "Config.model is TrainConfig"),
    ],
)
def test_wrong_changes_are_refused(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(Config(), **{path: value})


# ---- what forms and flags read


def test_every_field_is_an_option_or_a_configuration() -> None:
    for cls, field in fields():
        hint = typing.get_type_hints(cls)[field.name]
        parts = {hint, *typing.get_args(hint)}
        nested = any(dataclasses.is_dataclass(part) for part in parts)
        assert nested or "help" in field.metadata or (cls, field.name) == (Config, "preset"), field.name


@pytest.mark.parametrize("field", OPTIONS)
def test_every_option_explains_itself(field: dataclasses.Field[Any]) -> None:
    text, low, high = (field.metadata[key] for key in ("help", "low", "high"))
    assert text[0].isupper() or text.startswith("torch.")
    assert not text.endswith(".")
    assert len(text) < 100
    assert low is None or high is None or low < high


@pytest.mark.parametrize("cls", classes(), ids=lambda c: c.__name__)
def test_defaults_are_in_range_and_of_their_type(cls: type[Any]) -> None:
    check(cls())
    assert from_dict(cls, to_dict(cls())) == cls()


def test_numbers_of_images_pixels_and_seconds_say_so() -> None:
    units = {"_px": "px", "_nimg": "images", "_sec": "s"}
    for _, field in fields():
        for suffix, unit in units.items():
            if field.name.endswith(suffix):
                assert field.metadata["unit"] == unit, field.name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train.batch": 7}, "batch is 7. Expected an even number.*Choose 6 or 8"),
        ({"train.stages": ()}, "stages is .*at least one stage"),
        ({"train.stages": ("gan", "gan")}, "each once"),
        ({"model.patch.min_scale": 0.5}, "min_scale is 0.5, max_scale 0.25"),
        ({"model.resolution": 32}, "resolution is 32.* 4 times. Expected a multiple of 16, from 64 up"),
        ({"model.resolution": 72}, "resolution is 72"),
    ],
)
def test_fields_that_do_not_fit_each_other_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(Config(), **changes)


def test_a_model_without_encoder_may_have_any_resolution() -> None:
    assert replace(Config(), **{"model.encoder": None, "model.resolution": 32}).model.resolution == 32


def test_the_smallest_side_that_the_encoder_takes_is_true() -> None:
    torch = pytest.importorskip("torch")
    from coordgan_core.models.encoder import Encoder

    small = {"encoder.channels": 4, "encoder.max_channels": 16, "encoder.texture_channels": 16}
    config = replace(ModelConfig(), **small, **{"resolution": 32, "encoder.downsamplings": 3})
    assert Encoder(config)(torch.zeros(2, 3, 32, 32)).structure.shape[0] == 2
