"""Live changes of posts that Conduit guards row by row: told to who may read them."""

from live_harness import DELETE_POST, POSTS, create_post, socket, stream
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


async def test_the_end_of_a_guarded_post_is_told_to_who_surely_could_read_it(
    sandbox: Sandbox, conduit: OwnConduit
) -> None:
    """Its author, and whom it was shown: nobody can be asked about it any more."""
    conduit.guard_posts()
    team = f"Team:{conduit.state.teams.insert({'name': 'Crew'})['_id']}"
    for name, role in (("me", "owner"), ("mate", "readAll"), ("you", None)):
        person = f"User:{conduit.join(name)}"
        if role is not None:
            conduit.state.relations.give_role(person, role, team)
    async with (
        running_servers(sandbox, 1, **conduit.environment) as servers,
        client() as http,
    ):
        (url,) = servers.urls
        me, mate, you = [await sign_in(http, url, n) for n in ("me", "mate", "you")]
        old = await create_post(me, url, "old")
        async with (
            socket(url, me) as author,
            socket(url, mate) as reader,
            socket(url, you) as outsider,
        ):
            for line in (author, reader, outsider):
                await line.init()
                await line.subscribe("1", POSTS)
            ours = await create_post(me, url, "ours", scope=team)
            for line in (author, reader):
                assert (await line.event())["postChanged"]["id"] == ours
            for id in (old, ours):
                await me.data(url, DELETE_POST, id=id)
                gone = {"kind": "DELETED", "id": id, "post": None}
                assert (await author.event())["postChanged"] == gone
            assert (await reader.event())["postChanged"] == gone
            yours = await create_post(you, url, "yours")
            assert (await outsider.event())["postChanged"]["id"] == yours
            assert await author.silence()
            assert await reader.silence(0.1)
