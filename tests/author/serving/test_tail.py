from pathlib import Path

from author.serving.tail import tail

LOG = """\
Loading weights: 100%|##########| 1/1
(Worker pid=12) INFO 11-25 03:00:00 [model.py:1] Starting to load model
(EngineCore_DP0 pid=11) ERROR 11-25 03:00:01 [core.py:866] EngineCore failed to start.
(EngineCore_DP0 pid=11) ERROR 11-25 03:00:01 [core.py:866] Traceback (most recent call last):
(EngineCore_DP0 pid=11) ERROR 11-25 03:00:01 [core.py:866]   File "/x/core.py", line 857, in run
(EngineCore_DP0 pid=11) ERROR 11-25 03:00:01 [core.py:866]     engine = EngineCore(*args)
(EngineCore_DP0 pid=11) ERROR 11-25 03:00:01 [core.py:866]              ^^^^^^^^^^^^^^^^^
(EngineCore_DP0 pid=11) ERROR 11-25 03:00:01 [core.py:866] torch.OutOfMemoryError: CUDA out of memory.

Traceback (most recent call last):
  File "/x/entry.py", line 3, in <module>
    main()
pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, no such model
\x1b[31mtorch.OutOfMemoryError: CUDA out of memory.\x1b[0m
"""


def test_only_what_says_something_is_left(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("an earlier start\n" + LOG)
    assert tail(log, begins=len("an earlier start\n")) == [
        "EngineCore failed to start.",
        "pydantic_core.ValidationError: 1 validation error for ModelConfig",
        "  Value error, no such model",
        "torch.OutOfMemoryError: CUDA out of memory.",
    ]
    assert tail(log, lines=1) == ["torch.OutOfMemoryError: CUDA out of memory."]


def test_information_is_better_than_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("INFO 11-25 03:00:00 [model.py:1] Starting to load model\n")
    assert tail(log) == ["Starting to load model"]


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == []
