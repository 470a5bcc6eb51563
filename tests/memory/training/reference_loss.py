"""The objective of GRPO as this project means it, written out plainly to check a trainer by.

For token t of sample i with advantage A_i, probability ratio r to the policy that sampled, and mask m:

    surrogate = min(r A, clip(r, 1 - low, 1 + high) A)
    kl = r (exp(q - p) - (q - p) - 1), with log-probabilities p of the policy and q of the reference (k3, Schulman 2020; times the
         ratio, which makes its gradient that of the reverse divergence: DeepSeek-V3.2, 2025)
    loss = -sum over all tokens of m (surrogate - beta kl) / sum over all tokens of m

The sums go over the whole batch, so that a long reply counts as many times as it has tokens (DAPO, Yu et al. 2025).
"""

from dataclasses import dataclass

import torch


@dataclass
class Batch:
    """Samples of one optimizer step, padded: prompts on the left, replies on the right."""

    prompts: torch.Tensor
    prompt_mask: torch.Tensor
    replies: torch.Tensor
    reply_mask: torch.Tensor
    """1 for tokens of the policy; 0 for padding, and for slots without a sample."""
    attended: torch.Tensor
    """1 for tokens that are there, of whomever."""
    advantages: torch.Tensor
    sampled: torch.Tensor | None = None
    """Log-probabilities when the replies were sampled; None: as they are now."""
    reference: torch.Tensor | None = None


def log_probabilities(model: torch.nn.Module, batch: Batch, temperature: float) -> torch.Tensor:
    """Of each token of each reply, shape (samples, tokens)."""
    found = []
    for row in range(len(batch.prompts)):
        prompt = batch.prompts[row][batch.prompt_mask[row] == 1]
        reply = batch.replies[row][batch.attended[row] == 1]
        logits = model(input_ids=torch.cat([prompt, reply])[None]).logits[0]
        shares = torch.log_softmax(logits[len(prompt) - 1 : -1] / temperature, dim=-1)
        values = shares[torch.arange(len(reply)), reply]
        found.append(torch.cat([values, values.new_zeros(batch.replies.shape[1] - len(reply))]))
    return torch.stack(found)


def loss(model: torch.nn.Module, batch: Batch, low: float, high: float, beta: float, temperature: float = 1.0) -> torch.Tensor:
    """See above; one sample at a time, without padding."""
    now = log_probabilities(model, batch, temperature)
    before = now.detach() if batch.sampled is None else batch.sampled
    ratio = torch.exp(now - before)
    advantage = batch.advantages[:, None]
    gained = torch.minimum(ratio * advantage, torch.clamp(ratio, 1 - low, 1 + high) * advantage)
    if batch.reference is not None:
        apart = batch.reference - now
        gained = gained - beta * ratio * (torch.exp(apart) - apart - 1)
    return -(gained * batch.reply_mask).sum() / batch.reply_mask.sum()
