"""Python in a process of its own, for what a test cannot do to itself: file-size limits, other users, being killed."""

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parent.parent.parent
OPEN = """
import os, sys
from pathlib import Path
from schemas.config import Config
from schemas.errors import SubtextError
from store.folder import open_run
config = Config.model_validate({"dataset": {"name": "d"}})
out = Path(sys.argv[1])
"""


def child(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start `code` with `arguments`; its output can be read line by line, and it waits while its input stays open if it wants."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=REPO, env={**os.environ, "PYTHONPATH": str(REPO)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def output(code: str, *arguments: object) -> str:
    """What `code` prints until it ends."""
    with child(code, *arguments) as process:
        return process.communicate(timeout=60)[0].strip()


def refusal(code: str, root: Path, limit: int) -> str:
    """Run `code` (it has `root`) where no file may pass `limit` bytes: the kind of the error that it raises, and its message."""
    return output(
        "import resource, sys\nfrom pathlib import Path\nimport pyarrow as pa\n"
        "root, limit = Path(sys.argv[1]), int(sys.argv[2])\n"
        f"def work():\n    {code.strip().replace(chr(10), chr(10) + '    ')}\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "try:\n    work()\nexcept Exception as error:\n    print(f'{type(error).__name__}: {error}')\nelse:\n    print('no error')",
        root, limit,
    )  # fmt: skip


def everything_below(folder: Path) -> list[str]:
    """The files below `folder`, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
