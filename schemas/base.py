"""What all records share: they are frozen, and a field that nobody declared is an error."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of every record that is stored or passed between stages."""

    model_config = ConfigDict(frozen=True, extra="forbid")
