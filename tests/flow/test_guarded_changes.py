"""Live changes of posts that Conduit guards row by row: told to who may read them."""

from live_harness import POSTS, create_post, socket, stream
from own_conduit import OwnConduit
from processes_harness import client, running_servers, sign_in

from harness import Sandbox


async def test_a_guarded_post_is_told_to_its_owner_and_to_nobody_else(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    """Over both transports, in another process than the one that wrote it."""
    conduit.guard_posts()
    for name in ("me", "you"):
        conduit.join(name)
    async with (
        running_servers(sandbox, 2, **conduit.environment) as servers,
        client() as http,
    ):
        near, far = servers.urls
        me, you = await sign_in(http, near, "me"), await sign_in(http, far, "you")
        async with (
            socket(far, you) as outsider,
            socket(far, me) as owner,
            stream(me, far, POSTS) as reader,
        ):
            for line in (outsider, owner):
                await line.init()
                await line.subscribe("1", POSTS)
            mine = await create_post(me, near, "mine")
            told = [(await owner.event())["postChanged"]]
            told.append((await reader.data())["postChanged"])
            assert [(one["kind"], one["id"]) for one in told] == [("CREATED", mine)] * 2
            yours = await create_post(you, near, "yours")
            # The first thing that the outsider hears of is their own.
            assert (await outsider.event())["postChanged"]["id"] == yours
            assert await owner.silence()
