"""Export to verl, for more GPUs than one node has: visits as Parquet, and an agent loop that plays them.

Untested against verl: no GPU was there to run it on. It is written for verl 0.9 (v1 trainer), whose agent loops may return several samples
of one trajectory. What the loop calls here is tested. verl has one reward for a trajectory, so that each of its samples gets the advantage
of the mean over all questions: coarser credit than that of `memory.training.samples`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from memory.llm import most_tokens
from memory.replay import Limits
from memory.training.rollout import Answered, Player, Written, play, rounds_of
from memory.training.samples import rewards_of
from memory.training.visits import Visit
from store.folder import disk_errors, write_text, writing

AGENT = "subtext_memory"
_VISIT = TypeAdapter(Visit)


def play_one(visit: str, player: Player) -> tuple[Sequence[Written | Answered], float]:
    """One rollout of an exported visit: its turns, writes before answers, and the mean reward of its answers."""
    played = _VISIT.validate_json(visit)
    [[rollout]] = play([played], 1, player, rounds_of([played], player.limits))
    [rewards] = rewards_of([[rollout]], None)
    return rollout.turns, float(np.mean(rewards))


def export(visits: Sequence[Visit], limits: Limits, folder: Path) -> None:
    """Write `train.parquet`, `agent_loop.py` and `agent_loop.yaml` to `folder`. Visits with open questions are not for verl."""
    if any(task.open for visit in visits for task in visit.tasks):
        raise ValueError("an open question needs a judge, which the agent loop has not")
    rows = [
        {
            "data_source": "subtext",
            "agent_name": AGENT,
            "ability": "memory",
            "prompt": [{"role": "user", "content": visit.persona_id}],  # stands for the visit; the loop makes its own prompts
            "reward_model": {"style": "rule", "ground_truth": ""},
            "extra_info": {"index": index, "visit": _VISIT.dump_json(visit).decode()},
        }
        for index, visit in enumerate(visits)
    ]
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with writing(folder / "train.parquet") as beside:
        pq.write_table(pa.Table.from_pylist(rows), beside, compression="zstd")
    write_text(
        folder / "agent_loop.py",
        _LOOP.format(
            agent=AGENT, memory_tokens=limits.memory_tokens, chunk_tokens=limits.chunk_tokens, most=most_tokens(limits.memory_tokens)
        ),
    )
    write_text(folder / "agent_loop.yaml", f"- name: {AGENT}\n  _target_: agent_loop.MemoryLoop\n")


_LOOP = '''"""Plays Subtext's visits in verl (0.9, trainer.use_v1=true). Untested. Subtext must be importable where the workers run.

    actor_rollout_ref.rollout.agent.agent_loop_config_path=agent_loop.yaml   data.train_files=train.parquet
"""

import asyncio
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput, register

from memory.read_exam import exam_tokens
from memory.replay import Limits
from memory.training.models import ChatCodec
from memory.training.rollout import Player, Reply
from memory.training.verl import play_one


@register("{agent}")
class MemoryLoop(AgentLoopBase):
    async def run(self, sampling_params, **fields):
        loop = asyncio.get_running_loop()

        async def ask(prompt):
            out = await self.server_manager.generate(
                request_id=uuid4().hex, prompt_ids=list(prompt), sampling_params={{**sampling_params, "max_tokens": {most}}}
            )
            return Reply(tuple(out.token_ids), tuple(out.log_probs or ()))

        async def ask_all(prompts):
            return await asyncio.gather(*map(ask, prompts))

        def generate(prompts):
            return asyncio.run_coroutine_threadsafe(ask_all(prompts), loop).result()

        limits = Limits({memory_tokens}, exam_tokens().count, {chunk_tokens})
        player = Player(generate, ChatCodec(self.tokenizer), limits)
        turns, reward = await asyncio.to_thread(play_one, fields["extra_info"]["visit"], player)
        outputs = [
            AgentLoopOutput(
                prompt_ids=list(turn.prompt), response_ids=list(turn.reply.tokens), response_mask=[1] * len(turn.reply.tokens),
                response_logprobs=list(turn.reply.logprobs) or None, num_turns=2, metrics={{}},
            )
            for turn in turns
        ]
        outputs[-1].reward_score = reward
        return outputs
'''
