"""A request to PostgREST, understood: made by `rest.py`, carried out by `reads.py`,
`writes.py` and `calls.py`."""

from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from .catalog import Catalog, Table
from .database import Caller, Database, Transaction
from .errors import FluxError
from .http import Request
from .media import Media
from .preferences import Preferences
from .query import Query
from .settings import FluxSettings
from .sql import BodyFormat


@dataclass(frozen=True, slots=True)
class Task:
    """A request with all that its headers and its query say."""

    request: Request
    caller: Caller
    database: Database
    catalog: Catalog
    settings: FluxSettings
    schema: str
    name: str
    query: Query
    preferences: Preferences
    media: Media

    @property
    def table(self) -> Table:
        """The table, without columns when the schema cache does not know it."""
        known = self.catalog.table(self.schema, self.name)
        return known or Table(self.schema, self.name, {}, (), 0)

    def unknown_table(self) -> FluxError:
        """The answer when the schema cache lacks the table."""
        known = self.catalog.tables_of(self.schema)
        return self.settings.dialect.no_table(self.schema, self.name, known)

    @property
    def wants_rows(self) -> bool:
        """Whether a write shall give back the rows that it touched."""
        return self.preferences.return_ == "representation"

    def body_format(self) -> BodyFormat:
        """The form of rows in the answer."""
        if self.media.is_csv:
            return "csv"
        return "object" if self.media.singular else "array"

    async def run(
        self,
        statement: str,
        *,
        read_only: bool,
        check: Callable[[asyncpg.Record], None] = lambda _: None,
    ) -> asyncpg.Record:
        """Run the statement as the caller; undo it if the answer may not be given."""

        def acceptable(row: asyncpg.Record) -> None:
            check(row)
            if self.media.singular and row["page"] != 1:
                raise self.settings.dialect.not_one_row(row["page"])

        return await self.database.run(
            self.transaction(read_only=read_only), statement, acceptable
        )

    def transaction(self, *, read_only: bool) -> Transaction:
        """How a statement of this request runs."""
        return Transaction(
            self.caller, self.schema, read_only, self.preferences.timezone
        )

    def check_affected(self, row: asyncpg.Record) -> None:
        """Raises: FluxError PGRST124 when a write passes `max-affected`."""
        most = self.preferences.max_affected
        if self.preferences.strict and most is not None and row["total"] > most:
            raise FluxError(
                400,
                "PGRST124",
                "Query result exceeds max-affected preference constraint",
                details=f"The query affects {row['total']} rows",
            )
