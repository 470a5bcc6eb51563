"""A call: one request to a language model and what came back, as the journal keeps it."""

from schemas.base import Record


class Call(Record):
    """One finished call. A call that got no reply at all is not one: it was not paid for, and is made again."""

    call_id: str
    """Hash of the request (model, messages, schema, sampling, seed) and of the record that it was made for."""
    record_id: str
    prompt: str
    """The prompt's name: `stage/kind`."""
    prompt_hash: str
    """Hash of the prompt's files."""
    repair: int
    """0 for the first request; 1 or 2 where it hands an invalid reply back."""
    generation: int
    """How often `subtext retry-failed` has asked for this anew."""
    model: str
    endpoint: int
    """Which of the run's servers, from 0: addresses are not stored."""
    seed: int
    attempts: int
    """Times the request was sent until this reply came."""
    faults: tuple[str, ...]
    """What the other attempts met, and what is wrong with this reply."""
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_usd: float
    latency_ms: int
    finish_reason: str
