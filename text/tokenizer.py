"""Counting tokens. The default is the packaged MiniLM WordPiece tokenizer: no download, the same counts on every machine."""

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path

from tokenizers import Tokenizer

from schemas.errors import InputError
from text.model_files import minilm_dir


class TokenCounter:
    """Counts tokens of texts, special tokens not included."""

    def __init__(self, name: str) -> None:
        path = minilm_dir() / "tokenizer.json" if name == "minilm" else Path(name)
        if not path.is_file():
            raise InputError(f"assemble.tokenizer: no such file {path}; give `minilm` or the path of a tokenizer.json")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust side raises bare Exception
            raise InputError(f"assemble.tokenizer: {path} is not a tokenizer.json ({error})") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.id = f"{name if name == 'minilm' else 'file'}-{blake2b(path.read_bytes(), digest_size=6).hexdigest()}"
        """Name and hash of the tokenizer: part of the key of every part that holds counts."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


@cache
def token_counter(name: str) -> TokenCounter:
    """The counter of this name; loaded once."""
    return TokenCounter(name)
