"""A scripted model that does what it is asked: for the tests of whole runs, where the small real model would be too slow or too dull."""

import re
from typing import Any

from tests.servers.synth import synthesise


def willing(request: dict[str, Any]) -> Any:
    """The reply to `request`, in the shape of its schema.

    An item has an answer for each value that was asked for, and a session is long enough to fill a history.
    """
    name = request.get("response_format", {}).get("json_schema", {}).get("name", "")
    asked = request["messages"][1]["content"]
    made = synthesise(request)
    if name == "ask_item":
        (values,) = re.findall(r"<values>\n(.*?)\n</values>", asked, re.DOTALL)
        for answer, value in zip(made["answers"], values.splitlines(), strict=False):
            answer["value"] = value
    if "exchanges" in made:
        for number, exchange in enumerate(made["exchanges"]):
            exchange["assistant"] += " " + " ".join(f"{exchange['assistant']} {part}" for part in range(12 + number))
    return made
