"""Files: the type, its connection, the queries `file` and `files`, and the writes.

A storage address never appears here: `previewUrl` is our own route.
"""

from typing import Annotated

import strawberry
from strawberry import Parent

from clients.conduit.records import ConduitFile
from resolvers import files, uploads
from resolvers.files import preview_urls
from resolvers.ids import global_id

from .connections import After, Connection, First, connection, page_request, paged
from .costs import Cost
from .datetimes import DateTime
from .fields import column, field, mutation, record_type, relation, shown
from .idempotency import idempotency_key
from .info import Info
from .node import Node, global_id_of
from .problems import Conflict, Forbidden, InvalidInput, NotFound
from .uploads import Upload


@record_type(ConduitFile, "A file in Conduit's storage.")
class File(Node):
    """Reads a document of Conduit."""

    id: strawberry.ID = global_id_of("File")
    database_id: strawberry.ID = column(
        "id", "The upstream's own id, for use outside this graph."
    )
    name: str = column("name", "The file's name, without a folder.")
    mime_type: str | None = column(
        "mime_type",
        "The type that the uploader gave; not checked by the upstream.",
    )
    size: int | None = column("size", "Bytes, as far as known.")
    is_public: bool = column(
        "is_public",
        "Whether the storage shows it to anybody who has its address there; "
        "previewUrl needs a session all the same.",
    )
    created_at: DateTime = column("created_at", "When it was uploaded.")
    updated_at: DateTime = column("updated_at", "When it was last changed.")

    @relation(
        "Path of this server's own preview route; a storage address never "
        "leaves the server."
    )
    @staticmethod
    def preview_url(
        files: list[ConduitFile],
        info: Info,
        download: Annotated[
            bool | None,
            strawberry.argument(description="Offer it for saving instead of showing."),
        ] = False,
    ) -> list[str]:
        """No call."""
        ids = [file.id for file in files]
        return preview_urls(info.context, ids, download=bool(download))

    @field(
        "Contents in base64, for small transforms on a server only; an "
        "error above 256 KiB.",
        Cost(weight="20"),
    )
    @staticmethod
    async def data(file: Parent[ConduitFile], info: Info) -> str | None:
        """Two calls per file: no upstream gives many files at once."""
        return await files.get_data(info.context, file)


FileConnection = Connection[File]


@strawberry.type
class FileQuery:
    """Root fields."""

    @field("One file, by global id or by the upstream's own id.")
    async def file(self, info: Info, id: strawberry.ID) -> File | None:
        """One call, shared with all files asked for by id."""
        record = await files.get_file(info.context, id)
        return shown(File, record)

    @field(
        "Files, newest first. Needs the GetFiles endpoint of conduit-init.json.",
        paged(forward_only=True),
    )
    def files(
        self, info: Info, first: First = None, after: After = None
    ) -> FileConnection | None:
        """One call; see `resolvers.files.list_files`."""
        page = page_request(info, first=first, after=after)
        return connection(files.list_files(info.context, page), File)


@strawberry.input(description="A new file in the viewer's own folder.")
class UploadFileInput:
    """Input of uploadFile."""

    file: Upload = strawberry.field(description="The contents, as a multipart file.")
    name: str | None = strawberry.field(
        default=None,
        description="What to call it; the name of the multipart file when left out. "
        "Signs that mean something in a path or an address are replaced.",
    )
    folder: str | None = strawberry.field(
        default=None, description="Below the viewer's own folder, e.g. holidays/2026."
    )
    is_public: bool | None = strawberry.field(
        default=False,
        description="Whether the storage shows it to anybody who has its address "
        "there; previewUrl needs a session all the same.",
    )
    scope: str | None = strawberry.field(
        default=None,
        description="Whose it is to be where the storage guards files, e.g. Team:<id>; "
        "the viewer's when left out.",
    )
    idempotency_key: str | None = idempotency_key()


@strawberry.type(description="The file is stored.")
class UploadFileSuccess:
    """Success of uploadFile."""

    file: File = strawberry.field(description="The new file.")


@strawberry.type(description="The file is gone.")
class DeleteFileSuccess:
    """Success of deleteFile."""

    deleted_id: strawberry.ID = strawberry.field(
        description="The id that the file had in this graph."
    )


UploadFileResult = Annotated[
    UploadFileSuccess | InvalidInput | Forbidden | Conflict,
    strawberry.union("UploadFileResult", description="What became of uploadFile."),
]
DeleteFileResult = Annotated[
    DeleteFileSuccess | InvalidInput | NotFound | Forbidden,
    strawberry.union("DeleteFileResult", description="What became of deleteFile."),
]


@strawberry.type
class FileMutation:
    """Root fields."""

    @mutation(
        "Stores a file in the viewer's own folder. Send it by the GraphQL multipart "
        "request spec; for files above 100 MB PUT /files is the plainer way."
    )
    async def upload_file(
        self,
        info: Info,
        input: Annotated[
            UploadFileInput, strawberry.argument(description="The new file.")
        ],
    ) -> UploadFileResult:
        """Two calls; two more when it is given up half-way."""
        record = await uploads.upload_file(
            info.context,
            input.file,
            name=input.name,
            folder=input.folder,
            is_public=bool(input.is_public),
            scope=input.scope,
            idempotency_key=input.idempotency_key,
        )
        return UploadFileSuccess(file=shown(File, record))

    @mutation("Deletes a file out of the viewer's own folder.")
    async def delete_file(self, info: Info, id: strawberry.ID) -> DeleteFileResult:
        """Two calls."""
        key = await files.delete_file(info.context, id)
        return DeleteFileSuccess(deleted_id=strawberry.ID(global_id("File", key)))
