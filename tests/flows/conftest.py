"""For the runs on the scripted model."""

from collections.abc import Iterator

import pytest

from tests.servers.model import ScriptedModel
from tests.willing import willing


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    """A model that does what it is asked, at once."""
    with ScriptedModel(reply=willing) as model:
        yield model


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The hashes of what a run gives that nothing disturbs."""
    from tests.llm import write_here
    from tests.runs import hashes

    with ScriptedModel(reply=willing) as model:
        return hashes(write_here(tmp_path_factory.mktemp("undisturbed"), model).folder.data)
