"""Configuration of models and trainings: frozen dataclasses, one field a decision.

The defaults are the published values of `paper-128` (``docs/method.md``); every way in which another preset
(`coordgan_core.presets`) departs from them is a field here. What works on all of them (`from_dict`,
`to_dict`, `check`, `replace`) comes from `coordgan_core.config_fields`. Standard library only, so that forms
and command lines can be built without loading PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from coordgan_core.config_fields import check as check
from coordgan_core.config_fields import from_dict as from_dict
from coordgan_core.config_fields import option
from coordgan_core.config_fields import replace as replace
from coordgan_core.config_fields import to_dict as to_dict
from coordgan_core.errors import ConfigError

FORMAT_VERSION = 1
"""Version of the configuration's layout in model files and run folders."""

MIN_ENCODER_PX = 4
"""Smallest side of what the encoder's heads see; their reflecting borders need it."""

MIN_BOX = 0.02
"""Smallest side of a box that images are cropped to, as a part of the image's."""


@dataclass(frozen=True)
class MappingConfig:
    """Mapping network, latent z -> code w; one for structure and one for texture."""

    code_dim: int = option(512, "Width of z, w and every layer", low=8, high=1024)
    layers: int = option(8, "Fully connected layers", low=1, high=16)
    lr_multiplier: float = option(0.01, "Learning rate multiplier of the layers", low=1e-4, high=1.0)


@dataclass(frozen=True)
class WarpConfig:
    """Coordinate warping network, (canonical grid, structure code) -> correspondence map."""

    resolution: int = option(128, "Side of the correspondence map", low=8, high=512, unit="px")
    width: int = option(512, "Hidden width of the per-pixel network", low=16, high=1024)
    layers: int = option(3, "Layers, input and output included", low=2, high=8)
    grid: Literal["endpoints", "centres"] = option("endpoints", "Where the canonical grid puts its points")
    residual: bool = option(False, "Output = grid + offset, with the last layer starting at zero")
    fourier_bands: int = option(
        0, "Frequencies added to the raw coordinates as sines and cosines", low=0, high=8
    )
    squash: bool = option(True, "Tanh on the output, so that it stays inside the canonical frame")


@dataclass(frozen=True)
class SynthesisConfig:
    """Modulated generator, (correspondence map, texture code) -> image."""

    trunk_channels: int = option(512, "Channels of the trunk", low=8, high=1024)
    trunk_blocks: int = option(
        5, "Trunk blocks of two modulated convolutions and one RGB output", low=0, high=8
    )
    trunk_kernel: Literal[1, 3] = option(3, "Kernel of the trunk's convolutions", unit="px")
    upsample_channels: tuple[int, ...] = option(
        (), "Channels of the doubling blocks behind the trunk", low=4, high=1024
    )
    encoding_bound: float = option(
        4.5**0.5, "Initial frequencies of the sine encoding, radians a canonical unit", low=0.1, high=100.0
    )
    map_skips: bool = option(True, "Concatenate the correspondence map behind every trunk convolution")
    noise: bool = option(True, "Per-pixel noise behind every 3 x 3 modulated convolution")


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Residual image discriminator."""

    channels: int = option(512, "Channels at 64 pixels and below", low=8, high=1024)
    stddev_group: int = option(2, "Images that share one minibatch standard deviation", low=1, high=32)


@dataclass(frozen=True)
class PatchConfig:
    """Co-occurrence patch discriminator and its crops."""

    channels: int = option(64, "Channels of its first layer", low=4, high=256)
    crop_px: int = option(32, "Side that every crop is resized to", low=16, high=64, unit="px")
    crops: int = option(8, "Crops an image", low=1, high=32)
    min_scale: float = option(1 / 8, "Smallest crop, as a fraction of the image's side", low=0.03, high=1.0)
    max_scale: float = option(1 / 4, "Largest crop, as a fraction of the image's side", low=0.03, high=1.0)

    def check_together(self) -> None:
        """Raise `ConfigError` if the smallest crop is larger than the largest."""
        if self.min_scale > self.max_scale:
            raise ConfigError(
                f"PatchConfig.min_scale is {self.min_scale:g}, max_scale {self.max_scale:g}",
                expected="min_scale at most max_scale",
                remedy="lower the first or raise the second",
            )


@dataclass(frozen=True)
class EncoderConfig:
    """Stage 2 encoder, image -> structure code and texture code."""

    channels: int = option(32, "Channels of its first layer", low=4, high=128)
    max_channels: int = option(512, "Channels of its last shared layer", low=16, high=1024)
    downsamplings: int = option(4, "Halvings of the shared trunk", low=2, high=6)
    structure_channels: int = option(
        64, "Channels that are flattened for the structure code", low=4, high=256
    )
    texture_channels: int = option(2048, "Width of the pooled texture feature", low=16, high=4096)


@dataclass(frozen=True)
class EmbeddingConfig:
    """Stage 0: equivariant embedding with canonical prototypes."""

    dim: int = option(32, "Length of a descriptor", low=4, high=256)
    channels: tuple[int, ...] = option(
        (48, 96, 160, 192), "Channels a level, from half resolution down", low=4, high=1024
    )
    input_px: int = option(64, "Side that images are resized to", low=32, high=256, unit="px")
    prototype_px: int = option(32, "Side of the grid of canonical prototypes", low=8, high=128, unit="px")
    temperature: float = option(
        0.05,
        "Temperature of the soft-argmax over prototypes",
        low=0.025,  # below, exp(-2 / temperature) would leave the range of float32 (`Embedding.locate`)
        high=1.0,
    )


@dataclass(frozen=True)
class DenseHeadConfig:
    """Head at full resolution that adds detail to the correspondence map."""

    channels: int = option(24, "Channels at full resolution", low=4, high=256)
    max_offset: float = option(0.5, "Largest offset it can add, in canonical units", low=0.01, high=2.0)


@dataclass(frozen=True)
class CropConfig:
    """Which part of an image the networks see, in training and ever after."""

    mode: Literal["whole", "centre", "labels", "box"] = option(
        "whole",
        "The whole image, its largest centred square, the box around its labels, or one box for all images",
    )
    box: tuple[float, float, float, float] = option(
        (0.0, 0.0, 1.0, 1.0),
        "Left, top, right and bottom of the box, as parts of the image's sides; with `labels` it is measured",
        low=0.0,
        high=1.0,
    )
    margin: float = option(
        0.1, "Widens the boxes around labels on each side, as a part of the box's side", low=0.0, high=2.0
    )

    def check_together(self) -> None:
        """Raise `ConfigError` if the box is empty."""
        left, top, right, bottom = self.box
        if right - left < MIN_BOX or bottom - top < MIN_BOX:
            raise ConfigError(
                f"CropConfig.box is {list(self.box)}",
                expected=f"left, top, right, bottom, at least {MIN_BOX:g} apart",
                remedy="give four numbers from 0 to 1, such as 0.2,0.1,0.8,0.9",
            )


@dataclass(frozen=True)
class ModelConfig:
    """All networks of one model. A part that is None is not there."""

    resolution: int = option(128, "Side of the images the networks see", low=32, high=1024, unit="px")
    crop: CropConfig = field(default_factory=CropConfig)
    mapping: MappingConfig = field(default_factory=MappingConfig)
    warp: WarpConfig = field(default_factory=WarpConfig)
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    patch: PatchConfig = field(default_factory=PatchConfig)
    encoder: EncoderConfig | None = field(default_factory=EncoderConfig)
    embedding: EmbeddingConfig | None = None
    dense_head: DenseHeadConfig | None = None

    @property
    def image_px(self) -> int:
        """Side at which images must arrive: the largest that any network works at."""
        return max(self.resolution, self.embedding.input_px if self.embedding else 0)

    def check_together(self) -> None:
        """Raise `ConfigError` if the encoder cannot halve the resolution as often as it shall."""
        encoder = self.encoder
        if encoder is None:
            return
        side = self.resolution >> encoder.downsamplings
        if self.resolution % (1 << encoder.downsamplings) or side < MIN_ENCODER_PX:
            raise ConfigError(
                f"ModelConfig.resolution is {self.resolution}, which the encoder halves "
                f"{encoder.downsamplings} times",
                expected=f"a multiple of {1 << encoder.downsamplings}, "
                f"from {MIN_ENCODER_PX << encoder.downsamplings} up",
                remedy="choose fewer encoder.downsamplings or another resolution",
            )


@dataclass(frozen=True)
class GanConfig:
    """Stage 1: the losses of the adversarial training and their schedules (fact sheet section 2)."""

    total_nimg: int = option(4_800_000, "Length of the stage", low=1, unit="images")
    adversarial_start: float = option(1.0, "Adversarial weight until `adversarial_ramp` begins")
    adversarial: float = option(2.0, "Adversarial weight at the end of its ramp", low=0.0)
    adversarial_ramp_nimg: tuple[int, int] = option(
        (80_000, 160_000), "Where its ramp begins and ends", low=0, unit="images"
    )
    texture_swap: float = option(5.0, "Weight of the texture-swap loss", low=0.0)
    warp: float = option(5.0, "Weight of the warp loss", low=0.0)
    swap_ramp_nimg: int = option(
        320_000, "Length of the texture-swap and warp ramps from 0", low=0, unit="images"
    )
    structure_swap: float = option(1.0, "Weight of the patch co-occurrence loss", low=0.0)
    structure_swap_from_nimg: int = option(160_000, "Where it is switched on", low=0, unit="images")
    chamfer: float = option(200.0, "Weight of the Chamfer loss", low=0.0)
    chamfer_points: int = option(0, "Random points of the Chamfer loss, 0 for all", low=0)
    fold: float = option(0.0, "Weight of the fold-over penalty", low=0.0)
    frame: float = option(
        0.0, "Weight of the embedding's map of generated images against their own maps", low=0.0
    )
    warp_px: int = option(
        128, "Side at which the warp loss compares all pixels with all", low=8, high=256, unit="px"
    )
    affinity_temperature: float = option(
        0.01, "Softmax temperature of the exact affinity", low=1e-4, high=1.0
    )
    r1_gamma: float = option(10.0, "R1 of the image discriminator", low=0.0)
    patch_r1_gamma: float = option(1.0, "R1 of the patch discriminator", low=0.0)
    lazy_every: int = option(16, "Steps between two R1 steps", low=1, unit="steps")
    adversary: Literal["non-saturating", "relativistic"] = option(
        "non-saturating", "Form of the adversarial loss; relativistic adds R2"
    )
    augment: Literal["none", "diff"] = option(
        "none", "Differentiable augmentation of what the discriminator sees"
    )
    ema_half_life_nimg: int = option(
        5_000, "Half-life of the generator's moving average", low=1, unit="images"
    )
    freeze_structure: bool = option(
        False, "Keep the warping network and the structure mapping as they are (growing a trained model)"
    )


@dataclass(frozen=True)
class EncoderTrainingConfig:
    """Stage 2: the encoder's losses (fact sheet section 4)."""

    total_nimg: int = option(4_800_000, "Length of the stage", low=1, unit="images")
    reconstruction_l1: float = option(10.0, "Weight of the L1 reconstruction", low=0.0)
    reconstruction_perceptual: float = option(10.0, "Weight of the perceptual reconstruction", low=0.0)
    texture_swap: float = option(5.0, "Weight of the texture swap on real pairs", low=0.0)
    code_consistency: float = option(
        10.0, "Weight of re-encoded structure codes of generated images", low=0.0
    )
    map_consistency: float = option(10.0, "Weight of their correspondence maps", low=0.0)
    learning_rate: float = option(0.0016, "Adam learning rate", low=1e-6, high=0.1)


@dataclass(frozen=True)
class EmbeddingTrainingConfig:
    """Stage 0: the equivariant embedding."""

    total_nimg: int = option(200_000, "Length of the stage", low=1, unit="images")
    learning_rate: float = option(0.001, "AdamW learning rate at its highest", low=1e-6, high=0.1)
    weight_decay: float = option(1e-4, "AdamW weight decay", low=0.0, high=1.0)
    muon_rate: float = option(
        0.02, "Muon learning rate of the convolutions within the network", low=1e-5, high=1.0
    )
    warmup_nimg: int = option(2_000, "Rise of the learning rate from 0", low=0, unit="images")
    anchor: float = option(
        5.0, "Weight, at first, of finding each pixel's place in the photograph itself", low=0.0, high=100.0
    )
    anchor_share: float = option(
        0.8, "Share of the stage in which that weight falls to 0", low=0.01, high=1.0
    )
    temperature: float = option(0.07, "Softmax temperature of the matching", low=0.001, high=1.0)
    queries: int = option(128, "Pixels that are matched in each image", low=8, high=4096)
    early_px: int = option(
        0,
        "Side of the images at first, when details hardly matter; 0: the embedding's",
        low=0,
        high=256,
        unit="px",
    )
    early_share: float = option(0.6, "Share of the stage with images of that side", low=0.0, high=1.0)
    warp: float = option(1.0, "Strength of the random warps", low=0.0, high=2.0)
    colours: float = option(1.0, "Strength of the random colour changes", low=0.0, high=2.0)
    occlusion: float = option(0.5, "Share of views with a covered rectangle", low=0.0, high=1.0)
    ema_half_life_nimg: int = option(8_000, "Half-life of the moving average", low=1, unit="images")
    prototype_images: int = option(1_200, "Images whose mean makes the prototypes", low=1, unit="images")


@dataclass(frozen=True)
class JointTrainingConfig:
    """Joint training of embedding, dense head, encoder, warping network and synthesis on real images."""

    total_nimg: int = option(200_000, "Length of the stage", low=1, unit="images")
    learning_rate: float = option(6e-4, "Learning rate of embedding and dense head", low=1e-6, high=0.1)
    muon_rate: float = option(
        0.008, "Muon learning rate of the convolutions within the embedding", low=1e-5, high=1.0
    )
    generator_rate: float = option(8e-3, "Learning rate of encoder, warp and synthesis", low=1e-6, high=0.1)
    equivariance: float = option(1.0, "Weight of the stage 0 loss", low=0.0)
    prototype: float = option(1.0, "Weight of the match with the canonical prototypes", low=0.0)
    dense: float = option(2.0, "Weight of the dense head's error against known positions", low=0.0)
    code_map: float = option(2.0, "Weight of the structure code's map against known positions", low=0.0)
    reconstruction: float = option(1.0, "Weight of the reconstruction (L1 and local correlation)", low=0.0)
    texture_swap: float = option(0.5, "Weight of the texture swap between real images", low=0.0)
    fold: float = option(1.0, "Weight of the fold-over penalty", low=0.0)
    teacher_blur_px: float = option(
        1.0, "Smoothing of the teacher's maps, in descriptor pixels", low=0.0, high=8.0, unit="px"
    )
    register: float = option(
        0.0,
        "Share of the images that are aligned with another one, on the processor, to correct the teacher",
        low=0.0,
        high=1.0,
    )
    ema_half_life_nimg: int = option(3_000, "Half-life of the moving averages", low=1, unit="images")


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    stages: tuple[Literal["embedding", "joint", "gan", "encoder"], ...] = option(
        ("gan", "encoder"), "What is trained, in order"
    )
    batch: int = option(16, "Images a step, over all devices; even", low=2, high=1024, unit="images")
    seed: int = option(0, "Seed of every random draw", low=0)
    learning_rate: float = option(0.002, "Base Adam learning rate", low=1e-6, high=0.1)
    mirror: bool = option(True, "Flip images at random; off where left and right parts have different names")
    perceptual: Literal["auto", "lpips", "structural", "embedding"] = option(
        "auto", "What compares two images"
    )
    precision: Literal["auto", "float32", "bfloat16"] = option("float32", "Arithmetic of the convolutions")
    compile: bool = option(
        False, "torch.compile the networks outside of gradient penalties; falls back where it fails"
    )
    snapshot_nimg: int = option(100_000, "Between two snapshots", low=1, unit="images")
    checkpoint_sec: float = option(300.0, "Between two checkpoints", low=1.0, unit="s")
    minutes: float = option(0.0, "Time the whole training may take, 0 for no limit", low=0.0, unit="min")
    stage_shares: tuple[float, ...] = option(
        (), "Share of the time of each stage, in order; empty: all the same", low=0.0
    )
    rollbacks: int = option(
        3, "Returns to one checkpoint after not-a-number before giving up", low=0, high=100
    )
    embedding: EmbeddingTrainingConfig = field(default_factory=EmbeddingTrainingConfig)
    joint: JointTrainingConfig = field(default_factory=JointTrainingConfig)
    gan: GanConfig = field(default_factory=GanConfig)
    encoder: EncoderTrainingConfig = field(default_factory=EncoderTrainingConfig)

    def check_together(self) -> None:
        """Raise `ConfigError` if the batch is odd, or the stages are none or name one twice."""
        if self.batch % 2:
            raise ConfigError(
                f"TrainConfig.batch is {self.batch}",
                expected="an even number: losses compare neighbours",
                remedy=f"choose {self.batch - 1} or {self.batch + 1}",
            )
        if not self.stages or len(set(self.stages)) != len(self.stages):
            raise ConfigError(
                f"TrainConfig.stages is {list(self.stages)}",
                expected="at least one stage, and each once",
                remedy="name what is to be trained: embedding, joint, gan, encoder",
            )


@dataclass(frozen=True)
class Config:
    """A model and how it is trained."""

    preset: str = "paper-128"
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
