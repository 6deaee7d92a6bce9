"""Executes the events of a subscription; queries and mutations go to `engine/`.

Used by `build.py`, which hands it to strawberry.
"""

from typing import Any

from graphql import Executor
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext


class EventExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's, without what it keeps of each event.

    Its copies share a memory of selections whose keys are new with every event: a
    subscription that lives for an hour would grow by all that it ever told
    (graphql-core 3.3.2, `Executor.collect_subfields`).
    """

    def build_per_event_executor(self, payload: object) -> Executor[Any]:
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}
        return executor
