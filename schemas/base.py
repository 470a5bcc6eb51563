"""What all records share: they are frozen, and a field that nobody declared is an error."""

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """Base of what is kept as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(Document):
    """Base of every record that is stored or passed between stages, and may be a row of a table."""
