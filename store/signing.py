"""Signed JSON files: an Ed25519 signature (RFC 8032) over everything in the file but the signature.

What is signed are the UTF-8 bytes of canonical JSON: keys sorted, no white space between parts, characters beyond ASCII escaped. So the
file may be laid out anew without harm, and nothing in it may be changed.
"""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import InputError
from schemas.exam import Signature
from store.folder import disk_errors, sync

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FIELD = "signature"


def signing_key(path: Path) -> "Ed25519PrivateKey":
    """The key in the PEM file `path`, which is made, for its owner's eyes only, where there is none. InputError where it is no such key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not path.exists():
        _make_key(path)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path} cannot be read as a key ({' '.join(str(error).split())[:80]}); {_WANTED}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} holds a key of another kind; {_WANTED}")
    return key


_WANTED = "give an unencrypted Ed25519 key in PEM, or a path where there is no file, and one is made"


def _make_key(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    text = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(beside, path)  # unlike a rename, it does not replace what another process has made meanwhile
            except FileExistsError:
                return
            sync(path.parent)
        finally:
            beside.unlink()


def signed(document: Mapping[str, Any], key: "Ed25519PrivateKey") -> dict[str, Any]:
    """`document`, which has no signature, with one. ValueError where it holds what JSON cannot say."""
    signature = Signature(algorithm="ed25519", public_key=key.public_key().public_bytes_raw().hex(), value=key.sign(_bytes(document)).hex())
    return {**document, FIELD: signature.model_dump()}


def is_genuine(document: Mapping[str, Any], signature: Signature) -> bool:
    """Whether `signature` is that of `document`, which is without it, by the key that it names."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.public_key))
        key.verify(bytes.fromhex(signature.value), _bytes(document))
    except (ValueError, InvalidSignature):
        return False
    return True


def read_signed(path: Path) -> tuple[dict[str, Any], object]:
    """The document in the file, and what it has as its signature. InputError where it is not a JSON object that can be read in one way."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unambiguous)
        if not isinstance(document, dict):
            raise TypeError("not an object")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as a signed result: {' '.join(str(error).split())}") from error
    return document, document.pop(FIELD, None)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _bytes(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
