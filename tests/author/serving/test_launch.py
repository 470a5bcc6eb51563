from pathlib import Path

import pytest

from author.serving import local
from author.serving.launch import launch
from schemas.config import AuthorConfig


def test_the_local_model_is_launched_and_measured(tmp_path: Path) -> None:
    import httpx2

    with launch(AuthorConfig(kind="openai", launch="local"), tmp_path / "log") as server:
        assert server.model == "smollm2"
        assert httpx2.get(f"{server.url}/models").json()["data"][0]["id"] == "smollm2"
        metrics = httpx2.get(server.url.removesuffix("/v1") + "/metrics").text
        assert "llamacpp:requests_deferred" in metrics
        slots = httpx2.get(server.url.removesuffix("/v1") + "/props").json()["total_slots"]
        assert slots == local.SLOTS


def test_a_config_without_a_server_is_no_business_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="launches no server"):
        launch(AuthorConfig(), tmp_path / "log")
