"""Identity and chance: ids that are readable paths below a hash, and random numbers that depend on the path alone.

Everything random in a run is drawn from `rng(run_seed, *path)`, never from a shared generator, so that neither the order of work
nor the number of workers nor a restart can change what is written.
"""

import random
import unicodedata
from hashlib import blake2b


def digest(*parts: object, size: int = 8) -> str:
    """Hex digest of `parts`, unambiguous about where one part ends and the next begins."""
    hasher = blake2b(digest_size=size)
    for part in parts:
        data = str(part).encode("utf-8", "surrogatepass")
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.hexdigest()


def derive(*path: object) -> int:
    """A 63-bit number that `path` (run seed first, then the record's path) alone decides."""
    return int(digest(*path), 16) >> 1


def rng(*path: object) -> random.Random:
    """A generator of one's own for `path`."""
    return random.Random(derive(*path))


def normalise(text: str) -> str:
    """The form in which two texts are compared for being the same: NFKC, lower case, single spaces, no final full stop."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(". ")


def seed_id(text: str) -> str:
    """The id of the seed with this text; the same for every spelling that normalises alike."""
    return f"s{digest('seed', normalise(text), size=5)}"


def persona_id(text: str, copy: int) -> str:
    """The id of the `copy`-th persona (from 0) made of the seed with this text."""
    return f"p{digest('persona', normalise(text), copy, size=5)}"


def unit_interval(*path: object) -> float:
    """A number in [0, 1) that `path` alone decides."""
    return derive(*path) / 2**63
