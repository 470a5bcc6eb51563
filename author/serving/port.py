"""A port of this machine: one that is free, and what the server behind it answers."""

import http.client
import json
import socket

from schemas.errors import InputError

HOST = "127.0.0.1"


def free_port(wanted: int | None) -> int:
    """A port that nobody listens on: `wanted`, or any. Raises InputError when `wanted` is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted or 0))
        except OSError as error:
            raise InputError(f"port {wanted} cannot be used ({error.strerror}); choose another with --port") from error
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, model: str, seconds: float) -> str | None:
    """Ask for one token: "" where it came, what the server said where it will never come, None where it may come later."""
    question = {"model": model, "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 1}
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)  # knows nothing of proxies, as it should be
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(question), {"Content-Type": "application/json"})
        response = connection.getresponse()
        said = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if response.status == http.client.OK:
        return "" if '"choices"' in said else f"not a completion: {said[:200]}"
    busy = (http.client.REQUEST_TIMEOUT, http.client.TOO_MANY_REQUESTS)
    return f"HTTP {response.status}: {said[:300]}" if 400 <= response.status < 500 and response.status not in busy else None
