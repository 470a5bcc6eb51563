"""Who generates: transformers on any machine; vLLM inside or beside a trainer, or by itself, on GPUs.

The vLLM paths follow the sources of TRL 1.16 and vLLM; no GPU was there to run them on (docs/training.md).
"""

from collections.abc import Sequence
from typing import Any

from memory.training.rollout import Reply, Tokens

_BATCH_TOKENS = 65_536
"""Of the prompts in one forward pass."""


class TransformersGenerate:
    """Samples with a model in this process."""

    def __init__(self, model: Any, tokenizer: Any, reply_tokens: int, temperature: float) -> None:
        self._model = model
        self._pad, self._end = tokenizer.pad_token_id, tokenizer.eos_token_id
        self._settings = {
            "max_new_tokens": reply_tokens, "do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0,
            "pad_token_id": self._pad, "eos_token_id": self._end, "use_cache": True,
        }  # fmt: skip

    def __call__(self, prompts: Sequence[Tokens]) -> Sequence[Reply]:
        """See `memory.training.rollout.Generate`."""
        was_training = self._model.training
        self._model.eval()
        try:
            order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))  # like lengths together: less padding
            replies: dict[int, Reply] = {}
            while order:
                longest = max(1, len(prompts[order[-1]]))
                batch = order[-max(1, _BATCH_TOKENS // longest) :]
                del order[-len(batch) :]
                replies.update(zip(batch, self._sampled([prompts[place] for place in batch]), strict=True))
            return [replies[place] for place in range(len(prompts))]
        finally:
            self._model.train(was_training)

    def _sampled(self, prompts: Sequence[Tokens]) -> list[Reply]:
        import torch

        width = max(map(len, prompts))
        device = self._model.device
        ids = torch.tensor([[self._pad] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
        with torch.no_grad():
            out = self._model.generate(input_ids=ids, attention_mask=mask, **self._settings)
        return [Reply(self._up_to_end(row)) for row in out[:, width:].tolist()]

    def _up_to_end(self, row: list[int]) -> tuple[int, ...]:
        return tuple(row[: row.index(self._end) + 1] if self._end in row else row)


class TrainerVllm:
    """Samples with the vLLM of a TRL trainer, colocated or on a server; TRL has already given it the weights."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def __call__(self, prompts: Sequence[Tokens]) -> Sequence[Reply]:
        """See `memory.training.rollout.Generate`. All processes must call together: a server is asked by one of them for all."""
        import torch

        accelerator = self._trainer.accelerator
        counts = accelerator.gather(torch.tensor([len(prompts)], device=accelerator.device))
        width = max(1, int(counts.max()))  # a server's replies are dealt out as if all processes had asked as often
        filled = [list(prompt) for prompt in prompts]
        filled += [[self._trainer.processing_class.eos_token_id]] * (width - len(filled))
        _, replies, logprobs, _ = self._trainer.vllm_generation.generate(prompts=filled, images=None, num_generations=1)
        return [
            Reply(tuple(tokens), tuple(float("nan") if row[0] is None else row[0] for row in rows))
            for tokens, rows in zip(replies[: len(prompts)], logprobs[: len(prompts)], strict=True)
        ]


class VllmGenerate:
    """Samples with a vLLM of its own. Drop it, and the GPU's memory is free again."""

    def __init__(self, base: str, reply_tokens: int, temperature: float, context_tokens: int) -> None:
        from vllm import LLM, SamplingParams

        self._model = LLM(model=base, max_model_len=context_tokens)
        self._settings = SamplingParams(max_tokens=reply_tokens, temperature=temperature, top_p=1.0, top_k=0, min_p=0.0)

    def __call__(self, prompts: Sequence[Tokens]) -> Sequence[Reply]:
        """See `memory.training.rollout.Generate`."""
        if not prompts:
            return []
        asked = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        return [Reply(tuple(given.outputs[0].token_ids)) for given in self._model.generate(asked, self._settings, use_tqdm=False)]
