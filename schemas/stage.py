"""The stages that a user can name, in the order data passes."""

from typing import Literal, get_args

StageName = Literal["seeds", "expand", "converse", "distract", "dedup", "ask", "assemble", "publish"]
STAGES: tuple[StageName, ...] = get_args(StageName)
