"""The scalar `Upload`: a file that comes with the request, never as JSON.

`server/multipart.py` puts it into the variables (GraphQL multipart request spec).
"""

from typing import Final, NewType

import strawberry
from graphql import GraphQLError, ValueNode

from resolvers.upload_rules import IncomingFile

Upload = NewType("Upload", IncomingFile)


def parse_upload(value: object) -> Upload:
    """Raises: GraphQLError for anything but a part of a multipart request."""
    if not isinstance(value, IncomingFile):
        raise GraphQLError(
            "Upload must come as a file of a multipart request "
            "(graphql-multipart-request-spec).",
            extensions={"code": "BAD_USER_INPUT"},
        )
    return Upload(value)


def refuse_literal(node: ValueNode, variables: object = None) -> Upload:
    """A document cannot hold a file."""
    return parse_upload(None)


UPLOAD: Final = strawberry.scalar(
    name="Upload",
    description="A file of a multipart request (graphql-multipart-request-spec).",
    specified_by_url="https://github.com/jaydenseric/graphql-multipart-request-spec",
    parse_value=parse_upload,
    parse_literal=refuse_literal,
)
