"""Files: the type, its connection, and the queries `file` and `files`.

A storage address never appears here: `previewUrl` is our own route.
"""

from typing import Annotated, Self

import strawberry

from clients.conduit.records import ConduitFile
from resolvers import files
from resolvers.ids import global_id

from .connections import After, Connection, First, connection, page_request
from .datetimes import DateTime
from .fields import field, mutation
from .info import Info
from .node import Node
from .problems import Forbidden, InvalidInput, NotFound


@strawberry.type(description="A file in Conduit's storage.")
class File(Node):
    """Made by `from_conduit`."""

    database_id: strawberry.ID = strawberry.field(
        description="The upstream's own id, for use outside this graph."
    )
    name: str = strawberry.field(description="The file's name, without a folder.")
    mime_type: str | None = strawberry.field(
        description="The type that the uploader gave; not checked by the upstream."
    )
    size: int | None = strawberry.field(description="Bytes, as far as known.")
    is_public: bool = strawberry.field(
        description="Whether anybody may read it, signed in or not."
    )
    created_at: DateTime = strawberry.field(description="When it was uploaded.")
    updated_at: DateTime = strawberry.field(description="When it was last changed.")
    record: strawberry.Private[ConduitFile]

    @classmethod
    def from_conduit(cls, record: ConduitFile) -> Self:
        """The file of a document."""
        return cls(
            record=record,
            id=strawberry.ID(global_id("File", record.id)),
            database_id=strawberry.ID(record.id),
            name=record.name,
            mime_type=record.mime_type,
            size=record.size,
            is_public=record.is_public,
            created_at=DateTime(record.created_at),
            updated_at=DateTime(record.updated_at),
        )

    @field(
        "Path of this server's own preview route; a storage address never "
        "leaves the server."
    )
    def preview_url(
        self,
        info: Info,
        download: Annotated[
            bool | None,
            strawberry.argument(description="Offer it for saving instead of showing."),
        ] = False,
    ) -> str:
        """No call."""
        return files.preview_url(info.context, self.record.id, download=bool(download))

    @field(
        "Contents in base64, for small transforms on a server only; an "
        "error above 256 KiB."
    )
    async def data(self, info: Info) -> str | None:
        """Two calls per file: no upstream gives many files at once."""
        return await files.get_data(info.context, self.record)


FileConnection = Connection[File]


@strawberry.type
class FileQuery:
    """Root fields."""

    @field("One file, by global id or by the upstream's own id.")
    async def file(self, info: Info, id: strawberry.ID) -> File | None:
        """One call, shared with all files asked for by id."""
        record = await files.get_file(info.context, id)
        return File.from_conduit(record) if record else None

    @field("Files, newest first. Needs the GetFiles endpoint of conduit-init.json.")
    async def files(
        self, info: Info, first: First = None, after: After = None
    ) -> FileConnection | None:
        """One call; see `resolvers.files.list_files`."""
        page = page_request(info, first=first, after=after)
        return connection(await files.list_files(info.context, page), File.from_conduit)


@strawberry.type(description="The file is gone.")
class DeleteFileSuccess:
    """Success of deleteFile."""

    deleted_id: strawberry.ID = strawberry.field(
        description="The id that the file had in this graph."
    )


DeleteFileResult = Annotated[
    DeleteFileSuccess | InvalidInput | NotFound | Forbidden,
    strawberry.union("DeleteFileResult", description="What became of deleteFile."),
]


@strawberry.type
class FileMutation:
    """Root fields."""

    @mutation("Deletes a file out of the viewer's own folder.")
    async def delete_file(self, info: Info, id: strawberry.ID) -> DeleteFileResult:
        """Two calls."""
        key = await files.delete_file(info.context, id)
        return DeleteFileSuccess(deleted_id=strawberry.ID(global_id("File", key)))
