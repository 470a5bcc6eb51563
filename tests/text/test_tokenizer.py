"""Token counts: of the text alone, all of it, by the tokenizer that the config names."""

import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from schemas.errors import InputError
from text.model_files import minilm_dir
from text.tokenizer import TokenCounter, token_counter


@pytest.fixture
def by_word(tmp_path: Path) -> Path:
    """A tokenizer file that cuts at spaces, with truncation and padding left on, as published ones have."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    path = tmp_path / "by-word" / "tokenizer.json"
    path.parent.mkdir()
    tokenizer.save(str(path))
    return path


def test_the_packaged_tokenizer_counts_word_pieces_and_no_special_tokens() -> None:
    assert token_counter("minilm").count(["", "hello", "Hello, world!", "unaffable"]) == [0, 1, 4, 3]


def test_long_texts_are_counted_to_their_end() -> None:
    assert token_counter("minilm").count(["boat " * 3000]) == [3000]


def test_a_count_does_not_depend_on_the_other_texts() -> None:
    texts = ["one", "boat " * 700, "", "A nurse in Galway"]
    together = token_counter("minilm").count(texts)
    assert together == [count for text in texts for count in token_counter("minilm").count([text])]
    assert token_counter("minilm").count([]) == []


def test_another_tokenizer_counts_in_its_own_way_and_neither_cuts_nor_pads(by_word: Path) -> None:
    assert TokenCounter(str(by_word)).count(["unaffable Hello, world!", "", "boat " * 40]) == [3, 0, 40]


def test_a_tokenizer_is_known_by_its_content(by_word: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / by_word.parent.name / "tokenizer.json"
    copy.parent.mkdir(parents=True)
    shutil.copy(by_word, copy)
    assert TokenCounter(str(copy)).id == TokenCounter(str(by_word)).id
    copy.write_text(copy.read_text(encoding="utf-8").replace("[UNK]", "[NEW]"), encoding="utf-8")
    assert TokenCounter(str(copy)).id != TokenCounter(str(by_word)).id
    assert TokenCounter("minilm").id.startswith("minilm-")


@pytest.mark.parametrize("name", ["", "gpt2", "missing/tokenizer.json", "."])
def test_a_tokenizer_that_is_not_there_is_an_input_error_that_names_the_setting(name: str) -> None:
    with pytest.raises(InputError, match=r"assemble\.tokenizer: no such file .*; give `minilm` or the path of a tokenizer\.json"):
        TokenCounter(name)


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b"\xff\xfe"])
def test_a_file_that_is_no_tokenizer_is_an_input_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is not a tokenizer\.json") as caught:
        TokenCounter(str(path))
    assert str(path) in str(caught.value)


def test_the_id_does_not_tell_where_the_file_lay(tmp_path: Path) -> None:
    (tmp_path / "alice").mkdir()
    path = Path(shutil.copy(minilm_dir() / "tokenizer.json", tmp_path / "alice"))
    assert "alice" not in TokenCounter(str(path)).id
