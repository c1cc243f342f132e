"""What a database itself takes for the statements of an answer."""

import json
import time
from types import TracebackType
from typing import Any, Final, Self

import sqlalchemy as sa

from storage.database import Database

_EXPLAINED: Final = "EXPLAIN (ANALYZE, FORMAT JSON) "


class Statements:
    """Keeps the statements that this process sends while it is open."""

    def __init__(self) -> None:
        self._sent: list[tuple[str, Any]] = []

    def __enter__(self) -> Self:
        sa.event.listen(sa.Engine, "before_cursor_execute", self._keep)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        sa.event.remove(sa.Engine, "before_cursor_execute", self._keep)

    def _keep(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        self._sent.append((statement, parameters))

    async def took_ms(self, url: str) -> float:
        """Returns how long they take once more: by EXPLAIN ANALYZE, on SQLite until all rows are read."""
        database, total = Database(url, pool_size=1), 0.0
        async with database.read() as connection:
            for statement, parameters in self._sent:
                if not statement.startswith(("SELECT", "WITH")):
                    continue
                if connection.dialect.name == "postgresql" and "set_config" not in statement:
                    found = await connection.exec_driver_sql(_EXPLAINED + statement, parameters)
                    plan = found.scalar_one()
                    told = (json.loads(plan) if isinstance(plan, str) else plan)[0]
                    total += told["Planning Time"] + told["Execution Time"]
                else:
                    begin = time.perf_counter()
                    (await connection.exec_driver_sql(statement, parameters)).all()
                    total += (time.perf_counter() - begin) * 1e3
        await database.close()
        return total
