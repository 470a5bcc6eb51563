"""Signed files: made once, private, and no change to what stands in the file passes."""

import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from schemas.errors import InputError
from schemas.exam import Signature
from store.signing import is_genuine, read_signed, signed, signing_key

DOCUMENT: dict[str, Any] = {"name": "ünï\ud800", "rows": [{"right": 0.1, "n": 3, "none": None}, {"right": 1.0}], "big": 2**70}


def written(folder: Path, document: Any = DOCUMENT) -> Path:
    path = folder / "result.json"
    path.write_text(json.dumps(signed(document, signing_key(folder / "key.pem")), indent=1), encoding="utf-8")
    return path


def genuine(path: Path) -> bool:
    document, signature = read_signed(path)
    return is_genuine(document, Signature.model_validate(signature))


def test_what_was_signed_is_genuine_however_it_is_laid_out(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert genuine(path)
    again = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(dict(reversed(again.items())), ensure_ascii=True, indent=7), encoding="utf-8")
    assert genuine(path)
    assert read_signed(path)[0] == DOCUMENT


@pytest.mark.parametrize(
    "change",
    [
        lambda all_: all_.update(name="ünï"),
        lambda all_: all_.update(more=1),
        lambda all_: all_.pop("big"),
        lambda all_: all_["rows"].reverse(),
        lambda all_: all_["rows"][0].update(right=0.10000000000000002),
        lambda all_: all_["rows"][0].update(none=0),
        lambda all_: all_["rows"][1].update(right=1),
        lambda all_: all_["signature"].update(value="0" * 128),
        lambda all_: all_["signature"].update(value="not hexadecimal"),
        lambda all_: all_["signature"].update(public_key="ab" * 32),
        lambda all_: all_["signature"].update(public_key=""),
    ],
)
def test_whatever_is_changed_is_seen(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    path = written(tmp_path)
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    assert not genuine(path)


def test_another_key_does_not_sign_for_the_first(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mine, theirs = (json.loads(written(folder).read_text("utf-8")) for folder in (tmp_path, tmp_path / "other"))
    assert mine["signature"]["public_key"] != theirs["signature"]["public_key"]
    mixed = Signature.model_validate({**mine["signature"], "public_key": theirs["signature"]["public_key"]})
    assert not is_genuine(DOCUMENT, mixed)


def test_a_key_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "config" / "subtext" / "key.pem"
    with ThreadPoolExecutor(8) as pool:
        keys = {key.public_key().public_bytes_raw() for key in pool.map(lambda _: signing_key(path), range(16))}
    assert len(keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["key.pem"]


def test_what_is_no_such_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    locked = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content, said in ((b"", "cannot be read as a key"), (locked, "cannot be read as a key"), (other, "a key of another kind")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"{said}.*give an unencrypted Ed25519 key"):
            signing_key(path)
        assert path.read_bytes() == content
    with pytest.raises(InputError, match="cannot be read as a key"):
        signing_key(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff", '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', "[" * 100_000])
def test_what_cannot_be_read_in_one_way_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="cannot be read as a signed result"):
        read_signed(path)
    with pytest.raises(InputError, match="cannot be read as a signed result"):
        read_signed(tmp_path / "nowhere.json")
