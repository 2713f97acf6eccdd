"""What `config.toml` of the home folder may say."""

from typing import Annotated, Literal

from pydantic import Field

from appliance.ground.processor import MOST_THREADS
from appliance.ground.tables import Table


class ConfigTable(Table):
    """The whole file."""

    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = Field(default=None, examples=[2])
    sandbox: Literal["required", "best-effort"] = "required"
    frontier: object = None
    """Tables of frontiers; a mistake in one of them stops only what uses that frontier."""
