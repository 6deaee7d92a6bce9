"""PostgREST's dialect: one HTTP request in, one SQL statement, one answer out.

`app.py` (direct face) and `gateway.py` (as the tenant) call `Rest.answer`. It relies on
`query.py` for the grammar and on `reads.py`, `writes.py`, `calls.py` for the work.
Flux contract: flux.md §10 and §11.
"""

from .calls import call
from .database import Caller, Database
from .errors import FluxError, UndecodableQueryError
from .http import Answer, Request
from .media import negotiate
from .preferences import parse_preferences
from .query import parse_query
from .reads import read
from .settings import FluxSettings
from .task import Task
from .tokens import direct_caller
from .writes import delete, insert, put, update

_JSON = "application/json; charset=utf-8"
_METHODS = frozenset(("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"))
_MAX_HEAD_BYTES = 50 * 1024
_EXPOSED_HEADERS = (
    "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location,"
    " Server, Transfer-Encoding, Range-Unit"
)


class Rest:
    """PostgREST over one database, of the version that the settings say."""

    def __init__(self, database: Database, settings: FluxSettings) -> None:
        self._database = database
        self._settings = settings

    async def answer_direct(self, request: Request) -> Answer:
        """Answer without the gateway: the token says who calls."""
        if request.head_bytes > _MAX_HEAD_BYTES:
            return self._finished(request, _plain(400, b"Bad Request"))
        if preflight := _preflight(request):
            return self._finished(request, preflight)
        try:
            caller = direct_caller(
                request.headers.get("authorization"),
                self._settings.direct_jwt_secret,
                self._settings.anonymous_role,
                self._settings.dialect,
            )
        except FluxError as error:
            return self._finished(request, self._error_answer(error))
        return await self.answer(request, caller)

    async def answer(self, request: Request, caller: Caller) -> Answer:
        """Answer the request as the caller; errors are answers too."""
        try:
            answer = await self._answer(request, caller)
        except FluxError as error:
            answer = self._error_answer(error)
        except UndecodableQueryError:
            answer = _plain(500, b"Something went wrong")
        return self._finished(request, answer)

    async def _answer(self, request: Request, caller: Caller) -> Answer:
        if request.method not in _METHODS:
            raise FluxError(
                405, "PGRST117", f"Unsupported HTTP method: {request.method}"
            )
        segments = request.path.split("/")[1:]
        is_call = segments[0] == "rpc" and len(segments) == 2
        if not segments[-1] or (len(segments) > 1 and not is_call):
            raise self._settings.dialect.bad_path()
        task = await self._task(request, caller, segments[-1], is_call=is_call)
        if is_call:
            return await call(task)
        match request.method:
            case "GET" | "HEAD":
                return await read(task)
            case "POST":
                return await insert(task)
            case "PATCH":
                return await update(task)
            case "PUT":
                return await put(task)
            case "DELETE":
                return await delete(task)
            case _:
                return _options(task)

    async def _task(
        self, request: Request, caller: Caller, name: str, *, is_call: bool
    ) -> Task:
        catalog = await self._database.catalog()
        return Task(
            request=request,
            caller=caller,
            database=self._database,
            catalog=catalog,
            settings=self._settings,
            schema=self._schema(request),
            name=name,
            query=parse_query(
                request.query, self._settings.dialect, for_function=is_call
            ),
            preferences=parse_preferences(
                request.headers.get("prefer", ""), catalog.timezones
            ),
            media=negotiate(request.headers.get("accept")),
        )

    def _schema(self, request: Request) -> str:
        reads = request.method in ("GET", "HEAD", "OPTIONS")
        header = "accept-profile" if reads else "content-profile"
        schema = request.headers.get(header, self._settings.schemas[0])
        if schema not in self._settings.schemas:
            raise self._settings.dialect.no_schema(schema, self._settings.schemas)
        return schema

    def _error_answer(self, error: FluxError) -> Answer:
        headers = {"Content-Type": _JSON, **error.headers}
        headers |= self._settings.dialect.headers_of(error.code)
        return Answer(error.status, headers, error.body())

    def _finished(self, request: Request, answer: Answer) -> Answer:
        """The answer with the headers that every one of PostgREST's has."""
        answer.headers["Server"] = self._settings.dialect.server
        is_preflight = "Access-Control-Max-Age" in answer.headers
        if "origin" in request.headers and not is_preflight:
            answer.headers["Access-Control-Allow-Origin"] = "*"
            answer.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
        return answer


def _options(task: Task) -> Answer:
    if not task.table.columns:
        raise task.unknown_table()
    allowed = task.table.allowed_methods()
    return Answer(200, {"Access-Control-Allow-Origin": "*", "Allow": allowed})


def _preflight(request: Request) -> Answer | None:
    asked = request.headers.get("access-control-request-method")
    if request.method != "OPTIONS" or "origin" not in request.headers or not asked:
        return None
    wanted = request.headers.get("access-control-request-headers", "")
    allowed = ["Authorization", *(name.strip() for name in wanted.split(",") if name)]
    allowed += ["Accept", "Accept-Language", "Content-Language"]
    return Answer(
        200,
        {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": (
                "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD"
            ),
            "Access-Control-Allow-Headers": ", ".join(allowed),
            "Access-Control-Max-Age": "86400",
        },
    )


def _plain(status: int, text: bytes) -> Answer:
    return Answer(status, {"Content-Type": "text/plain; charset=utf-8"}, text)
