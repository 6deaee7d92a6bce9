"""`python -m schema` prints the SDL, as it is kept in `schema/schema.graphql`."""

import sys

from . import schema

sys.stdout.write(f"{schema.as_str()}\n")
