"""The named configurations: `paper-128` as published, and what this project makes of it."""

from __future__ import annotations

from coordgan_core.config import (
    Config,
    DenseHeadConfig,
    DiscriminatorConfig,
    EmbeddingConfig,
    EmbeddingTrainingConfig,
    EncoderConfig,
    EncoderTrainingConfig,
    GanConfig,
    JointTrainingConfig,
    MappingConfig,
    ModelConfig,
    PatchConfig,
    SynthesisConfig,
    TrainConfig,
    WarpConfig,
    replace,
)
from coordgan_core.errors import ConfigError

PAPER_512 = Config(
    preset="paper-512",
    model=ModelConfig(
        resolution=512,
        synthesis=SynthesisConfig(upsample_channels=(128, 64)),
        # The release has no encoder at 512; two more halvings keep its 8 x 8 structure head.
        encoder=EncoderConfig(downsamplings=6),
    ),
    train=TrainConfig(
        gan=GanConfig(
            # Grown from a finished paper-128 run: its ramps have ended and its maps stay as they are.
            adversarial_start=2.0,
            adversarial_ramp_nimg=(0, 0),
            swap_ramp_nimg=0,
            structure_swap_from_nimg=0,
            freeze_structure=True,
        )
    ),
)
"""The published stage at 512 pixels (fact sheet section 1.5); start it from a `paper-128` model."""

QUICK_64 = Config(
    preset="quick-64",
    model=ModelConfig(
        resolution=64,
        mapping=MappingConfig(code_dim=128, layers=2),
        warp=WarpConfig(
            resolution=32, width=128, grid="centres", residual=True, fourier_bands=2, squash=False
        ),
        synthesis=SynthesisConfig(
            trunk_channels=64,
            encoding_bound=12.0,
            trunk_blocks=3,
            trunk_kernel=1,
            upsample_channels=(32,),
            noise=False,
        ),
        encoder=EncoderConfig(channels=16, max_channels=128, structure_channels=32, texture_channels=256),
        embedding=EmbeddingConfig(input_px=96),
        dense_head=DenseHeadConfig(),
    ),
    train=TrainConfig(
        stages=("embedding", "joint"),
        batch=24,
        mirror=False,
        precision="auto",
        snapshot_nimg=20_000,
        checkpoint_sec=60.0,
        minutes=30.0,
        stage_shares=(0.6, 0.4),
        embedding=EmbeddingTrainingConfig(early_px=64, early_share=0.7),
    ),
)
"""Useful on a two-core CPU in minutes: stage 0, then joint training; no adversary, no downloaded weights."""

FAST_128 = Config(
    preset="fast-128",
    model=ModelConfig(
        resolution=128,
        mapping=MappingConfig(code_dim=256, layers=4),
        warp=WarpConfig(
            resolution=64, width=128, grid="centres", residual=True, fourier_bands=2, squash=False
        ),
        synthesis=SynthesisConfig(
            trunk_channels=128,
            encoding_bound=12.0,
            trunk_blocks=3,
            trunk_kernel=1,
            upsample_channels=(64,),
        ),
        discriminator=DiscriminatorConfig(channels=128),
        patch=PatchConfig(channels=32),
        encoder=EncoderConfig(channels=16, max_channels=128, structure_channels=32, texture_channels=256),
        # The networks of quick-64, whose models can start a run of this preset.
        embedding=EmbeddingConfig(input_px=128),
        dense_head=DenseHeadConfig(),
    ),
    train=TrainConfig(
        stages=("embedding", "joint", "gan", "encoder"),
        batch=32,
        mirror=False,
        perceptual="embedding",
        precision="auto",
        compile=True,
        checkpoint_sec=120.0,
        minutes=120.0,
        stage_shares=(0.4, 0.3, 0.2, 0.1),
        embedding=EmbeddingTrainingConfig(total_nimg=1_000_000, early_px=64),
        joint=JointTrainingConfig(total_nimg=500_000),
        gan=GanConfig(
            total_nimg=1_000_000,
            # Joint training has taught the map and the painting before: nothing has to wait for long.
            adversarial_ramp_nimg=(20_000, 40_000),
            swap_ramp_nimg=20_000,
            structure_swap_from_nimg=20_000,
            chamfer_points=1024,
            fold=1.0,
            frame=5.0,
            warp_px=32,
            adversary="relativistic",
            augment="diff",
        ),
        encoder=EncoderTrainingConfig(total_nimg=500_000),
    ),
)
"""The adversarial method at a fraction of its cost, behind stage 0 and joint training; for one GPU."""

FAST_256 = replace(
    FAST_128,
    **{
        "preset": "fast-256",
        "model.resolution": 256,
        "model.synthesis.upsample_channels": (64, 32),
        "model.encoder.downsamplings": 5,
        "model.embedding.input_px": 192,
        "train.embedding.early_px": 128,
        "train.minutes": 480.0,
    },
)
"""`fast-128` with one more doubling behind the same trunk, and a sharper eye."""

PRESETS: dict[str, Config] = {
    "quick-64": QUICK_64,
    "fast-128": FAST_128,
    "fast-256": FAST_256,
    "paper-128": Config(),
    "paper-512": PAPER_512,
}


def preset(name: str) -> Config:
    """Return the configuration called ``name``.

    Raises:
        ConfigError: There is no preset of that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(
            f"there is no preset {name!r}",
            expected=f"one of {', '.join(PRESETS)}",
            remedy="pass one of these names",
        ) from None
