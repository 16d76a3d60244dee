"""The settings of one run. Defaults hold what the three benchmarks share; the rest is in config/benchmarks."""

from math import prod
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from m3.config.base import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, Seed, Settings
from m3.config.simulators import EnvironmentSettings

Precision = Literal["fp32", "tf32", "bf16"]
"""fp32: float32 throughout. tf32: as fp32, but a GPU multiplies matrices with 10-bit mantissas (elsewhere the same as
fp32). bf16: linear layers and convolutions multiply in bfloat16; weights, optimiser, positions, decays, memories, code
distances, LSTM, logits, losses and returns stay float32."""

Compile = Literal["none", "default"]
"""none: torch's own kernels. default: torch's compiler makes those of the imagined world model, where they round
otherwise, so that this is a part of what a run is. That steps are captured as CUDA graphs is not: they come to the same
bits, and the command that trains is told."""

TRAINING_VERSION = 6
"""Raised when a code change alters what training computes: it is part of every run's settings, so all train again."""


class Optimizer(Settings):
    """AdamW."""

    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    max_gradient_norm: PositiveFloat
    schedule: Literal["constant", "linear"] = "constant"
    """Of the learning rate; ``linear`` lets it fall from its full value in the first epoch towards 0 after the last."""


class Schedule(Settings):
    """When and how much a component trains."""

    start_after_epoch: NonNegativeInt
    """The component trains in epochs strictly after this one (the first epoch is 1)."""
    steps_per_epoch: PositiveInt
    batch_size: PositiveInt


class Sequences(Settings):
    """Lengths, in environment steps, of the windows that training reads."""

    length: PositiveInt
    """Steps T of a world-model window; also the imagination horizon."""
    context_length: PositiveInt
    """Steps of real context before the first prediction that is trained or imagined."""
    burn_in: NonNegativeInt = 20
    """Steps before the context on which the actor's and critic's LSTMs warm up."""

    @model_validator(mode="after")
    def _room_to_predict(self) -> "Sequences":
        if self.length <= self.context_length:
            raise ValueError(f"length {self.length} must exceed context_length {self.context_length}")
        return self


class Collection(Settings):
    """Acting in the real environment during training."""

    steps_per_epoch: PositiveInt
    last_epoch: PositiveInt | None = None
    """No collecting after this epoch; none: collect in every epoch."""
    epsilon: Fraction
    """Probability of a uniformly random action."""
    temperature: PositiveFloat = 1.0


class Evaluation(Settings):
    """Evaluation between epochs of training."""

    every_epochs: PositiveInt
    episodes: PositiveInt
    environments: PositiveInt = 8
    """Environments side by side; each is played to its end before the next round starts."""
    temperature: PositiveFloat = 0.5


class ReplaySettings(Settings):
    """Storage of experience."""

    capacity_gigabytes: PositiveFloat = 16.0
    """Whole episodes are evicted, oldest first, when the stored experience would exceed this."""
    prioritized_share: Fraction = 0.3
    """Share of a world-model batch drawn by priority (section 3.4); 0 draws all uniformly."""
    initial_loss: NonNegativeFloat = 10.0
    """Loss with which a window counts before it was first drawn."""


class Own(Settings):
    """A model of one's own, from a file outside of the package."""

    kind: Literal["own"]
    model: Annotated[str, Field(pattern=r"^.+\.py:[A-Za-z_]\w*$")]
    """``path/to/file.py:Class``, relative to where commands are called. The file is executed."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the class is called with beside its sizes."""


class VectorQuantizer(Settings):
    """A learned codebook, as in M3: a latent becomes the nearest of its codes."""

    kind: Literal["vq"] = "vq"


class FiniteScalarQuantizer(Settings):
    """A fixed lattice, as in the authors' Simulus-A: each number of a latent is rounded to one of its levels."""

    kind: Literal["fsq"]
    levels: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1, strict=False)] = (8, 8, 8)
    """Levels of each dimension; the vocabulary is their product."""


QuantizerSettings = Annotated[VectorQuantizer | FiniteScalarQuantizer | Own, Field(discriminator="kind")]

NORM_GROUPS = 8
"""Of the group norms in image tokenizers."""


class ImageTokenizerSettings(Settings):
    """Discrete autoencoder of images."""

    quantizer: QuantizerSettings = VectorQuantizer()
    """Which codes there are, and which of them a latent becomes; ``own`` is a whole image tokenizer."""
    channels: PositiveInt = 64
    """Channels after the first convolution, doubled by each of the downsamplings."""
    downsamples: PositiveInt = 3
    code_size: PositiveInt = 256
    """Width of the codes that decoder, world model and policy read."""
    vocabulary: Annotated[PositiveInt, Field(validate_default=True)] = 512
    """Size of the codebook; with ``fsq`` always the product of the levels."""
    perceptual: Literal["lpips", "none"] = "lpips"
    """Perceptual part of the reconstruction loss; ``lpips`` needs two weight files (see README)."""
    optimizer: Optimizer = Optimizer(learning_rate=1e-4, weight_decay=0.01, max_gradient_norm=10.0)
    schedule: Schedule

    @field_validator("vocabulary")
    @classmethod
    def _as_the_levels_have_it(cls, vocabulary: int, info: ValidationInfo) -> int:
        """Benchmarks give the size of a codebook; a variant with levels leaves it behind."""
        quantizer = info.data.get("quantizer")
        return prod(quantizer.levels) if isinstance(quantizer, FiniteScalarQuantizer) else vocabulary

    @model_validator(mode="after")
    def _channels_divide(self) -> "ImageTokenizerSettings":
        if self.channels % NORM_GROUPS:
            raise ValueError(f"channels {self.channels} must be a multiple of {NORM_GROUPS}, the number of norm groups")
        if isinstance(self.quantizer, FiniteScalarQuantizer) and self.code_size % NORM_GROUPS:
            raise ValueError(
                f"code_size {self.code_size} must be a multiple of {NORM_GROUPS} with the quantizer fsq: the decoder "
                "begins with a group norm"
            )
        return self


class Retention(Settings):
    """The retentive network of M3."""

    kind: Literal["retention"] = "retention"


class Attention(Settings):
    """Softmax attention with rotary positions, as in the authors' Simulus-A."""

    kind: Literal["attention"]
    cache: Literal["float32", "bfloat16"] = "float32"
    """Number format of the keys and values that imagination keeps; ``bfloat16`` takes half the memory."""


DecayScale = Annotated[PositiveFloat | None, Field(validate_default=True)]
SequenceSettings = Annotated[Retention | Attention | Own, Field(discriminator="kind")]


class WorldModelSettings(Settings):
    """Sequence model over blocks of tokens, its heads and its training."""

    sequence: SequenceSettings = Retention()
    """What predicts a step from the blocks before it. All kinds have layers, heads, width and dropout."""
    layers: PositiveInt
    heads: PositiveInt
    width: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    decay_scale_min: DecayScale = None
    """Memory of the fastest-forgetting head, in blocks. Retention's alone: with another sequence model, none."""
    decay_scale_max: DecayScale = None
    """Memory of the slowest-forgetting head, in blocks. Retention's alone."""
    shared_embeddings: bool = True
    """Image tokens enter as their codebook vectors; otherwise through a table of their own."""
    curiosity: bool = True
    """Train the ensemble whose disagreement is the intrinsic reward."""
    optimizer: Optimizer = Optimizer(learning_rate=2e-4, weight_decay=0.05, max_gradient_norm=3.0)
    schedule: Schedule

    @field_validator("decay_scale_min", "decay_scale_max")
    @classmethod
    def _retentions_alone(cls, scale: float | None, info: ValidationInfo) -> float | None:
        """Benchmarks give decay scales for retention; a variant with another sequence model leaves them behind."""
        if not isinstance(info.data.get("sequence"), Retention):
            return None
        if scale is None:
            raise PydanticKnownError("missing")
        return scale

    @property
    def decay_scales(self) -> tuple[float, float]:
        """Retention's memory of the fastest and the slowest forgetting head, in blocks."""
        assert self.decay_scale_min is not None
        assert self.decay_scale_max is not None
        return self.decay_scale_min, self.decay_scale_max

    @model_validator(mode="after")
    def _consistent(self) -> "WorldModelSettings":
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of 2 * heads = {2 * self.heads}")
        if isinstance(self.sequence, Retention) and self.decay_scales[0] > self.decay_scales[1]:
            raise ValueError("decay_scale_min must not exceed decay_scale_max")
        if self.curiosity and self.schedule.batch_size % 4:
            raise ValueError("schedule.batch_size must be a multiple of 4, the number of ensemble members")
        return self


class ControllerSettings(Settings):
    """Actor and critic, trained in imagination."""

    mlp: Annotated[tuple[PositiveInt, ...], Field(min_length=1, strict=False)]
    """Widths of the layers between encoders and LSTM."""
    lstm_width: PositiveInt
    separate_networks: bool = False
    """Actor and critic have their own copies of everything."""
    token_embedding_size: PositiveInt = 64
    discount: Fraction = 0.99
    lambda_: Fraction = 0.95
    extrinsic_weight: NonNegativeFloat = 1.0
    intrinsic_weight: NonNegativeFloat = 1.0
    entropy_weight: NonNegativeFloat = 0.001
    critic_warmup_epochs: NonNegativeInt = 0
    """The actor trains from epoch ``schedule.start_after_epoch`` plus this on; before, only the critic trains."""
    curiosity_while_collecting_only: bool = False
    """After ``collection.last_epoch`` the ensemble stays as it is and imagined rewards have no intrinsic part."""
    optimizer: Optimizer = Optimizer(learning_rate=2e-4, weight_decay=0.01, max_gradient_norm=3.0)
    schedule: Schedule


class RunSettings(Settings):
    """Everything that determines one training run, and nothing else: what changes here trains the run again."""

    training_version: PositiveInt = TRAINING_VERSION
    benchmark: str
    variant: str
    task: str
    seed: Seed
    epochs: PositiveInt
    environment: EnvironmentSettings
    continuous_actions: Literal["tokens", "projection"] = "tokens"
    """A continuous action enters the world model as one token per dimension, or as one projected token."""
    regression: Literal["classification", "symlog_mse"] = "classification"
    """How rewards and values are predicted: HL-Gauss, or squared error on symlog'ed scalars."""
    precision: Precision = "fp32"
    """Number format of the networks' products while training; collecting and evaluating use float32."""
    compile: Compile = "none"
    """Who makes the kernels of imagination; ``default`` needs a C++ compiler (on a GPU, Triton)."""
    sequences: Sequences
    collection: Collection
    evaluation: Evaluation
    replay: ReplaySettings = ReplaySettings()
    tokenizer: ImageTokenizerSettings | None = None
    """Needed where the observation has images."""
    world_model: WorldModelSettings
    controller: ControllerSettings
    initialize_from: dict[Literal["tokenizer", "world_model", "controller"], str] = Field(default_factory=dict)
    """Part -> the run's folder or weights that it begins with; parts that are not named begin at random."""
    dataset: str | None = None
    """A file of a run's dataset, or ``minari:ID``: the run trains on its episodes and collects none."""
    command: str | None = None
    """The program that trains and evaluates in place of M3; the variant's file gives it."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of that program's own."""

    @model_validator(mode="after")
    def _curiosity_has_an_ensemble(self) -> "RunSettings":
        if self.controller.intrinsic_weight > 0 and not self.world_model.curiosity:
            raise ValueError("controller.intrinsic_weight must be 0 where world_model.curiosity is false")
        return self

    @property
    def collecting_epochs(self) -> int:
        """In how many epochs the run collects."""
        return min(self.collection.last_epoch or self.epochs, self.epochs)

    @property
    def agent_steps(self) -> int:
        """How many steps the run takes in the training environment, from its first epoch to its last."""
        return self.collecting_epochs * self.collection.steps_per_epoch
