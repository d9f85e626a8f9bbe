"""The settings of a training run, as data: where it starts, what it reads, its stages, how it logs.

Takes values that `read.py` found in a TOML file; refuses what cannot be. Sizes of the model are not here: they are the
checkpoint's own. Knows nothing of torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from policy_spec.config import CONDITIONINGS
from policy_spec.errors import UsageError, sentence
from policy_spec.masks import IMAGE_ATTENTION

MODES = ("full", "lora", "expert")
ANSWERS = ("none", "actions", "depth", "depth+actions")
PRECISIONS = ("float32", "bf16")
KINDS = ("pretrain", "posttrain", "finetune")


@dataclass(frozen=True, slots=True)
class Start:
    """[start] the weights that the first stage begins with: a checkpoint, or a preset initialised for training."""

    checkpoint: str = ""  # a folder in the released format
    preset: str = ""  # or one of train/presets.py
    robot: str = "so101"  # of a preset: whose joints and cameras
    depth: bool = False  # it predicts a depth map before it acts; a checkpoint that did not gets a gate that is closed
    conditioning: str = ""  # what the expert attends to; "": as the checkpoint says (a preset: per_layer)
    norm_stats: str = ""  # a norm_stats.json to put in place of the checkpoint's
    fast: str = ""  # folder of a FAST tokenizer, for answers with actions

    def __post_init__(self) -> None:
        if bool(self.checkpoint) == bool(self.preset):
            raise UsageError(sentence("[start]", expected="either checkpoint or preset", got="both or none of them"))
        one_of("start.conditioning", self.conditioning, ("", *CONDITIONINGS))


@dataclass(frozen=True, slots=True)
class DatasetPart:
    """[[data.datasets]] one dataset of the mixture."""

    path: str = ""  # a folder, or owner/name on the hub
    weight: float = 0.0  # how often it is drawn; 0 in all of them: as often as each has frames
    tag: str = ""  # norm tag of its robot; "": the only one of the checkpoint
    cameras: tuple[str, ...] = ()  # which, in the prompt's order; (): those of the tag
    frame: str = ""  # joint frame of its states and actions; "": as the dataset says
    annotated: bool = True  # annotated tasks rather than the frames' own, where there are some

    def __post_init__(self) -> None:
        if not self.path:
            raise UsageError(sentence("data.datasets.path", expected="a folder or a hub id"))
        at_least("data.datasets.weight", self.weight, 0.0)


@dataclass(frozen=True, slots=True)
class Data:
    """[data] what is read."""

    datasets: tuple[DatasetPart, ...] = ()
    shuffle_cameras: bool = False  # another order of cameras in each episode
    frame: str = ""  # the policy's joint frame, which all are converted to; "": nothing is converted
    text: str = ""  # a .jsonl of questions and answers, with or without pictures
    text_share: float = 0.0  # of the rows of a batch
    workers: int = 0  # processes that read ahead; 0: none
    cache: str = ""  # folder that keeps decoded and resized pictures; "": decoded each time

    def __post_init__(self) -> None:
        if not 0.0 <= self.text_share <= 1.0:
            raise UsageError(sentence("data.text_share", expected="0 to 1", got=self.text_share))
        if self.text_share > 0 and not self.text:
            raise UsageError(sentence("data.text", expected="a .jsonl, because text_share is above 0"))
        at_least("data.workers", self.workers, 0)


@dataclass(frozen=True, slots=True)
class Rates:
    """A number for each part of the model (train/learn/groups.py). [stages.lr]: at 0 a part stays as it is."""

    llm: float = 1e-5
    vit: float = 5e-6
    connector: float = 5e-6
    expert: float = 1e-4
    lm_head: float = 1e-5


@dataclass(frozen=True, slots=True)
class Clips(Rates):
    """[stages.clip] the largest norm of each part's gradient; 0: not clipped."""

    llm: float = 1.0
    vit: float = 1.0
    connector: float = 1.0
    expert: float = 1.0
    lm_head: float = 1.0


@dataclass(frozen=True, slots=True)
class Warmups(Rates):
    """[stages.warmup] steps until a part's learning rate is reached."""

    llm: float = 200.0
    vit: float = 200.0
    connector: float = 200.0
    expert: float = 200.0
    lm_head: float = 200.0


@dataclass(frozen=True, slots=True)
class Lora:
    """[stages.lora] adapters on every matrix of the language model, the image encoder and the connector."""

    rank: int = 64
    alpha: float = 16.0
    dropout: float = 0.05

    def __post_init__(self) -> None:
        at_least("stages.lora.rank", self.rank, 1)
        fraction("stages.lora.dropout", self.dropout)


@dataclass(frozen=True, slots=True)
class Augment:
    """[stages.augment] how pictures are changed, each camera's by itself. Defaults as released."""

    enabled: bool = True
    crop: float = 0.95  # side of the part that is kept
    rotate: float = 5.0  # degrees to either side
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.05
    blur: float = 0.2  # probability

    def __post_init__(self) -> None:
        if not 0.1 <= self.crop <= 1.0:
            raise UsageError(sentence("stages.augment.crop", expected="0.1 to 1", got=self.crop))


@dataclass(frozen=True, slots=True)
class Losses:
    """[stages.loss] how much each loss counts."""

    flow: float = 1.0
    lm: float = 0.0
    z: float = 1e-4


@dataclass(frozen=True, slots=True)
class Stage:
    """[[stages]] one part of the recipe. `kind` sets what is not said: see train/recipe/stages.py."""

    kind: str = "finetune"
    name: str = ""  # for a person; "": the kind
    steps: int = 1000
    batch: int = 64  # rows of one step, over all processes
    micro_batch: int = 0  # rows at once in one process; 0: all of its share
    mode: str = "full"
    insulated: bool = False  # K and V are detached: the flow loss teaches the expert alone
    noise_samples: int = 8  # K
    answer: str = "none"  # what the model is taught to say after the prompt
    depth_noise: float = 0.1  # share of the teacher-forced depth codes that are replaced
    image_attention: str = "bidirectional"
    dropout: float = 0.0  # of the language model's residual branches
    loss: Losses = field(default_factory=Losses)
    lr: Rates = field(default_factory=Rates)
    warmup: Warmups = field(default_factory=Warmups)
    clip: Clips = field(default_factory=Clips)
    lora: Lora = field(default_factory=Lora)
    augment: Augment = field(default_factory=Augment)
    final_lr: float = 0.1  # of the rate, at the end of the cosine
    betas: tuple[float, ...] = (0.9, 0.95)
    eps: float = 1e-6
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        one_of("stages.kind", self.kind, KINDS)
        one_of("stages.mode", self.mode, MODES)
        one_of("stages.answer", self.answer, ANSWERS)
        one_of("stages.image_attention", self.image_attention, IMAGE_ATTENTION)
        at_least("stages.steps", self.steps, 1)
        at_least("stages.batch", self.batch, 1)
        at_least("stages.micro_batch", self.micro_batch, 0)
        fraction("stages.depth_noise", self.depth_noise)
        fraction("stages.dropout", self.dropout)
        if self.loss.flow > 0:
            at_least("stages.noise_samples, because the flow is learned", self.noise_samples, 1)
        if self.loss.flow <= 0 and self.loss.lm <= 0:
            raise UsageError(sentence("[stages.loss]", expected="flow or lm above 0", got="nothing is learned"))
        if self.mode == "expert" and self.loss.flow <= 0:
            raise UsageError(sentence("stages.loss.flow", expected="above 0, because only the expert learns"))
        rates = {name: getattr(self.lr, name) for name in Rates.__slots__ if self.mode != "expert" or name == "expert"}
        if min(rates.values()) < 0 or max(rates.values()) <= 0:
            expected = "rates of 0 (that part stays as it is) or more, one of them above 0"
            raise UsageError(sentence(f"[stages.lr], mode {self.mode!r}", expected=expected, got=rates))
        if len(self.betas) != 2:
            raise UsageError(sentence("stages.betas", expected="two numbers", got=list(self.betas)))


@dataclass(frozen=True, slots=True)
class Run:
    """[run] the run itself."""

    out: str = "run"  # its folder
    seed: int = 6198
    device: str = "auto"  # cpu, cuda; auto: cuda where there is one
    precision: str = "auto"  # float32 or bf16 autocast, with float32 masters; auto: bf16 on cuda
    threads: int = 0  # of torch; 0: its own choice
    recompute: bool = False  # gradient checkpointing
    compile: bool = False  # torch.compile of the layers
    save_every: int = 1000  # steps
    keep: int = 2  # checkpoints that stay; the end of each stage stays anyway
    log_every: int = 10  # steps
    checkpoint_dtype: str = ""  # float32 or bfloat16; "": as the start's
    tensorboard: bool = False
    wandb: str = ""  # a project's name

    def __post_init__(self) -> None:
        one_of("run.device", self.device, ("auto", "cpu", "cuda"))
        one_of("run.precision", self.precision, ("auto", *PRECISIONS))
        one_of("run.checkpoint_dtype", self.checkpoint_dtype, ("", "float32", "bfloat16"))
        for name in ("save_every", "keep", "log_every"):
            at_least(f"run.{name}", getattr(self, name), 1)
        at_least("run.seed", self.seed, 0)


@dataclass(frozen=True, slots=True)
class Config:
    """A whole training run."""

    start: Start
    data: Data
    stages: tuple[Stage, ...]
    run: Run = field(default_factory=Run)

    def __post_init__(self) -> None:
        if not self.stages:
            raise UsageError(sentence("[[stages]]", expected="at least one stage"))
        speaking = [s.kind for s in self.stages if "actions" in s.answer]
        if speaking and self.data.datasets and not self.start.fast:
            raise UsageError(
                sentence(
                    "start.fast",
                    expected=f"the folder of a FAST tokenizer, because stage {speaking[0]} answers with actions",
                    do="fit one with armside fast fit, or set answer to none",
                )
            )


def one_of(name: str, value: Any, known: tuple[Any, ...]) -> None:
    """Raises UsageError."""
    if value not in known:
        raise UsageError(sentence(name, expected=" or ".join(repr(k) for k in known), got=repr(value)))


def at_least(name: str, value: float, least: float) -> None:
    """Raises UsageError."""
    if not value >= least:
        raise UsageError(sentence(name, expected=f"{least} or more", got=value))


def fraction(name: str, value: float) -> None:
    """Raises UsageError."""
    if not 0.0 <= value < 1.0:
        raise UsageError(sentence(name, expected="0 or more, below 1", got=value))
