"""The stages that a user can name, in the order data passes."""

from typing import Literal, get_args

StageName = Literal["seeds", "expand", "converse", "distract", "ask", "dedup", "assemble", "publish"]
STAGES: tuple[StageName, ...] = get_args(StageName)
