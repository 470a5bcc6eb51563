"""Models and tokenizers: loading them, and the tiny one that tries the path."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.training.rollout import ChatMessage, Tokens
from schemas.errors import InputError
from schemas.ids import rng

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_PAD, _START, _END = "<|pad|>", "<|im_start|>", "<|im_end|>"


class ChatCodec:
    """See `memory.training.rollout.Codec`. InputError where the tokenizer has no chat template."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        if not tokenizer.chat_template:
            raise InputError("model.base: its tokenizer has no chat template; give a model that was tuned to follow instructions")
        self._tokenizer = tokenizer

    def encode(self, messages: Sequence[ChatMessage]) -> list[int]:
        """A conversation up to where the reply begins."""
        tokens: list[int] = self._tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)
        return tokens

    def decode(self, tokens: Tokens) -> str:
        """A reply as text, without special tokens."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text


def load_tokenizer(base: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model, with a token to pad with. InputError where there is no such model."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    except (OSError, ValueError) as error:
        raise InputError(f"model.base: no model {base} here ({str(error).splitlines()[0]}); give a folder or a name on the Hub") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(base: str, dtype: str) -> "PreTrainedModel":
    """The weights of a model, on the GPU where there is one."""
    import torch
    from transformers import AutoModelForCausalLM

    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def make_tiny(folder: Path, texts: Sequence[str], seed: int) -> None:
    """A random Qwen3 of two layers and a tokenizer made of `texts`, in `folder`.

    It is primed for a second on lone letters and lines of a memory, so that some of its replies can be read, as those of an untrained
    model can: where none can, no reply is better than another.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tiny_tokenizer(texts)
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=16, max_position_embeddings=40_960, tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
        )
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for ids, labels in _lessons(tokenizer, texts, seed):
        model(input_ids=torch.tensor(ids), labels=torch.tensor(labels)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    beside = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    model.save_pretrained(beside)
    tokenizer.save_pretrained(beside)
    beside.rename(folder)


def _tiny_tokenizer(texts: Sequence[str]) -> "PreTrainedTokenizerBase":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2000, special_tokens=[_PAD, _START, _END], initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=_PAD, eos_token=_END, padding_side="left", chat_template=_TEMPLATE, model_max_length=40_960
    )


def _lessons(tokenizer: Any, texts: Sequence[str], seed: int) -> Iterator[tuple[list[list[int]], list[list[int]]]]:
    """Batches of tokens and labels, padded on the right."""
    chance = rng(seed, "tiny")
    codec = ChatCodec(tokenizer)
    for _ in range(50):
        ids, labels = [], []
        for _ in range(8):
            asked = codec.encode([{"role": "user", "content": chance.choice(texts)[: chance.randrange(800)]}])
            said = chance.choice([*"ABCD", "2025-03-02 | tea", "2025-03-02 | a cat", "2025-03-02 of Ann | tea"])
            reply = [*tokenizer(said, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            ids.append(asked + reply)
            labels.append([-100] * len(asked) + reply)
        width = max(map(len, ids))
        yield [row + [tokenizer.pad_token_id] * (width - len(row)) for row in ids], [row + [-100] * (width - len(row)) for row in labels]
