"""What every outbound row obeys (R62): flat, typed, no nulls, every time twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

TWIN = "_ms"
LARGEST_SAFE = 2**53 - 1
"""Above this a reader that takes JSON numbers as doubles loses digits."""

Time = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")]
Milliseconds = Annotated[int, Field(ge=0, le=LARGEST_SAFE)]
Key = Annotated[str, Field(min_length=1)]
Minor = int
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Version = Annotated[int, Field(ge=0, le=LARGEST_SAFE)]
IsDeleted = Annotated[int, Field(ge=0, le=1)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(BaseModel):
    """Base of the rows. A field whose default is None may be absent, but is never null."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, values: Any) -> Any:
        nulls = (
            sorted(name for name, value in values.items() if value is None)
            if isinstance(values, dict)
            else []
        )
        if nulls:
            raise ValueError(f"null in {', '.join(nulls)}: leave a column without a value out")
        return values

    @model_validator(mode="after")
    def _twins_agree(self) -> Self:
        for name in type(self).model_fields:
            twin = f"{name}{TWIN}"
            if twin in type(self).model_fields and _milliseconds(getattr(self, name)) != getattr(self, twin):
                raise ValueError(f"{name} {getattr(self, name)!r} and {twin} {getattr(self, twin)!r} differ")
        return self


class RowSchema(GenerateJsonSchema):
    """JSON Schema of rows: what may be absent is not null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """The schema of the value itself."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The schema without its default, which is only this side's word for absent."""
        return self.generate_inner(schema["schema"])


def _milliseconds(time: str | None) -> int | None:
    return None if time is None else (datetime.fromisoformat(time) - _EPOCH) // timedelta(milliseconds=1)
