"""The writes of notes and posts as documents, and a way to sign in for them.

Used by the tests in `tests/flow/`; each document calls its field `r`.
"""

import contextlib
from collections.abc import AsyncIterator

from own_conduit import OwnConduit

from harness import Caller, Sandbox, caller_of, running_app

_PROBLEM = "... on Problem { message } ... on InvalidInput { field }"
_NOTE = "note { id body }"
_POST = "post { id title body author { username } coverFile { name } }"


def _write(name: str, input_type: str, success: str) -> str:
    argument = "id" if input_type == "ID!" else "input"
    kind = name[0].upper() + name[1:]
    return f"""mutation (${argument}: {input_type}) {{
      r: {name}({argument}: ${argument}) {{
        __typename {_PROBLEM} ... on {kind}Success {{ {success} }}
      }}
    }}"""


CREATE_NOTE = _write("createNote", "CreateNoteInput!", _NOTE)
UPDATE_NOTE = _write("updateNote", "UpdateNoteInput!", _NOTE)
DELETE_NOTE = _write("deleteNote", "ID!", "deletedId")
CREATE_POST = _write("createPost", "CreatePostInput!", _POST)
UPDATE_POST = _write("updatePost", "UpdatePostInput!", _POST)
DELETE_POST = _write("deletePost", "ID!", "deletedId")
DELETE_FILE = _write("deleteFile", "ID!", "deletedId")


@contextlib.asynccontextmanager
async def signed_in(
    sandbox: Sandbox, conduit: OwnConduit, name: str, **environment: str
) -> AsyncIterator[Caller]:
    """A person of that name, signed in to an app of their own over this Conduit."""
    conduit.join(name)
    settings = {**sandbox.environment, **conduit.environment, **environment}
    async with running_app(settings) as app, caller_of(app) as caller:
        await caller.sign_in(name)
        conduit.forget()
        sandbox.forget()
        yield caller
