"""How a memory agent is trained: one YAML file, checked whole before anything starts, with `--set a.b=c` on top.

A stage is done where its section is there, even an empty one (`cold_start: {}`), and left out where it is not.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.config import Name, Share
from schemas.errors import InputError
from schemas.sections import Section, checked, read_sections, with_settings

TINY = "tiny"
"""The name of a random model of a few thousand weights, made on the spot: it tries the path, and learns nothing of use."""


class TrainingRun(Section):
    """What the run is called, and what it reads."""

    name: Name
    """The folder below `agent/training/` of the dataset."""
    seed: int = 1
    history: int = 32_000
    """Tokens of the histories that are read."""
    save_every: int = Field(10, ge=1)
    """Batches between two checkpoints; a killed run goes on from the last."""


class BaseModelConfig(Section):
    """Where training starts."""

    base: str
    """A folder, a name on the Hub, or `tiny`."""
    lora_rank: int | None = Field(None, ge=1)
    """Train low-rank adapters of all linear layers (Hu et al. 2021), which are merged at the end of a stage; none: train all weights."""


class MemoryLimits(Section):
    """What the agent is allowed, as in the exam."""

    tokens: int = Field(2048, ge=16)
    chunk_tokens: int = Field(5000, ge=16)


class RolloutConfig(Section):
    """How the model is tried."""

    group: int = Field(8, ge=2)
    """Rollouts of one user, which compete with each other."""
    questions: int = Field(8, ge=1)
    """Questions by which a rollout is scored."""
    users_per_step: int = Field(8, ge=1)
    temperature: float = Field(1.0, gt=0)
    reply_tokens: int | None = Field(None, ge=2)
    """The longest reply, in the model's own tokens; none: what a write may take where the agent is used."""


class GenerationConfig(Section):
    """Who generates."""

    backend: Literal["transformers", "vllm_colocate", "vllm_server"] = "transformers"
    server_url: str | None = None
    """Of `trl vllm-serve`, for `vllm_server`."""
    gpu_share: Share = 0.3
    """Of the GPU's memory, for `vllm_colocate`."""
    context_tokens: int = Field(16_384, ge=512)
    """The longest prompt and reply together that vLLM makes room for."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.backend == "vllm_server") != (self.server_url is not None):
            raise ValueError("server_url goes with backend vllm_server, and with no other (http://127.0.0.1:8000)")
        return self


class ColdStart(Section):
    """Supervised training on the best of the model's own rollouts."""

    users: int = Field(200, ge=1)
    """Users of whom rollouts are sampled."""
    epochs: int = Field(1, ge=1)
    learning_rate: float = Field(1e-5, gt=0)
    batch: int = Field(32, ge=1)
    """Turns in one optimizer step, over all processes."""
    micro_batch: int = Field(1, ge=1)
    """Turns in one forward pass of one process."""


class Grpo(Section):
    """Group-relative policy optimization: of the memory, or of reading the whole history instead."""

    steps: int = Field(200, ge=1)
    """Batches of rollouts."""
    updates: int = Field(1, ge=1)
    """Optimizer steps in which a batch is used up. From the second on the policy is not the one that sampled, hence the clip."""
    learning_rate: float = Field(1e-6, gt=0)
    warmup_steps: int = Field(0, ge=0)
    """Optimizer steps."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    clip_high: float = Field(0.28, gt=0)
    """How far below and above 1 a token's probability ratio counts (clip-higher: DAPO, Yu et al. 2025)."""
    kl: float = Field(0.0, ge=0)
    """Weight of the divergence from the model at the stage's start."""
    micro_batch: int = Field(1, ge=1)
    """Samples in one forward pass of one process."""


class LongContext(Grpo):
    """The same for answers from the history itself."""

    context_tokens: int | None = Field(None, ge=16)
    """The last messages of so many tokens before a question are shown; none: all."""


class LlmTraining(Section):
    """Training of a language model as memory agent, in the order of the sections below; each stage starts from the one before it."""

    kind: Literal["llm"]
    run: TrainingRun
    model: BaseModelConfig
    memory: MemoryLimits = MemoryLimits()
    rollout: RolloutConfig = RolloutConfig()
    generation: GenerationConfig = GenerationConfig()
    cold_start: ColdStart | None = None
    memory_grpo: Grpo | None = None
    long_context: LongContext | None = None
    """For comparison: without a memory, from the base model."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not (self.cold_start or self.memory_grpo or self.long_context):
            raise ValueError("nothing to do: give cold_start, memory_grpo or long_context")
        if self.memory.tokens >= self.memory.chunk_tokens:
            raise ValueError("memory.tokens must be below memory.chunk_tokens, or there is nothing to choose")
        return self


KINDS: dict[str, type[LlmTraining]] = {"llm": LlmTraining}
"""What can be trained, by `kind`."""


def load_training(path: Path, settings: Sequence[str] = ()) -> LlmTraining:
    """Read `path`, lay `settings` (`a.b=c`, YAML values) over it, check the whole. InputError says which key is wrong and why."""
    raw = read_sections(path)
    kind = raw.get("kind")
    if kind not in KINDS:
        raise InputError(f"{path}: kind: what is to be trained? Give one of {', '.join(KINDS)} (given: {kind!r})")
    return checked(KINDS[kind], with_settings(raw, settings), str(path))
