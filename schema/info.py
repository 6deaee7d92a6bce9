"""`Info`: what a field gets to know; its context is our `RequestContext`."""

import strawberry

from resolvers.context import RequestContext

Info = strawberry.Info[RequestContext, None]
