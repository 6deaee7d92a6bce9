-- What Mainstem needs in a Flux project: the guide's table `notes`, an owner for each
-- note, and two functions that answer for many posts in one call.
--
-- Run it with `flux push flux-init.sql`, or as the owner of the schema with any
-- PostgreSQL client. It is one statement, so it happens whole or not at all, and it may
-- run again at any time: it makes what is missing, replaces its own functions and
-- policies, and leaves rows alone. A table that the guide made is upgraded in place.
--
-- Which schema? The first of these that there is:
--   1. the setting `mainstem.schema`, made before in the same session:
--          select set_config('mainstem.schema', 't_5ecfa3ab72d1_api', false);
--      (with psql also: PGOPTIONS='-c mainstem.schema=t_5ecfa3ab72d1_api' psql -f …)
--   2. the current schema, when it is a Flux one: `api` or `t_<12 hex digits>_api`
--   3. `api`, where a project of its own keeps its tables
-- Mainstem's FLUX_POSTGREST_SCHEMA names the same schema when it calls PostgREST
-- without the gateway.
--
-- Notes from before the upgrade keep their data and belong to nobody: their owner is
-- the empty text, which no token's `sub` can be, so nobody reads them through the API.
-- Give them to a person by the id that Conduit knows them by, as the table's owner:
--     update notes set owner_id = '<Conduit user id>' where owner_id = '';

do $init$
declare
    target constant text := coalesce(
        nullif(current_setting('mainstem.schema', true), ''),
        substring(current_schema() from '^(?:api|t_[0-9a-f]{12}_api)$'),
        'api'
    );
    path_before constant text := current_setting('search_path');
    -- Requests run as the tenant's role behind the gateway, as `authenticated` on a
    -- project of its own; `service_role` is for the operator. Not all of them exist.
    grantee text;
begin
    if to_regnamespace(quote_ident(target)) is null then
        execute format('create schema %I', target);
    end if;
    perform set_config('search_path', quote_ident(target), true);

    -- Who asks: the token's `sub`. Flux brings this function; a bare PostgREST does not.
    if not exists (
        select from pg_proc
        where pronamespace = to_regnamespace('auth') and proname = 'uid' and pronargs = 0
    ) then
        create schema if not exists auth;
        create function auth.uid() returns text language sql stable as $body$
            select nullif(
                nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub', ''
            )
        $body$;
    end if;

    -- The guide's table …
    create table if not exists notes (
        id uuid primary key default gen_random_uuid(),
        body text not null,
        created_at timestamptz not null default now()
    );

    -- … and what we add. A plain default would date old notes to today.
    alter table notes
        add column if not exists owner_id text,
        add column if not exists updated_at timestamptz,
        add column if not exists post_id uuid;
    update notes
        set owner_id = coalesce(owner_id, ''),
            updated_at = coalesce(updated_at, created_at)
        where owner_id is null or updated_at is null;
    alter table notes
        alter column owner_id set not null,
        alter column updated_at set default now(),
        alter column updated_at set not null;

    -- An operator who gives a note to somebody does not edit it: owner_id is not here.
    create or replace function touch_note() returns trigger language plpgsql as $body$
    begin
        new.updated_at := now();
        return new;
    end
    $body$;
    create or replace trigger touch_note
        before update of body, post_id on notes
        for each row execute function touch_note();

    -- Row-level security adds the owner to every query, so it leads both indexes: the
    -- first serves keyset pages, the second the notes of a post.
    create index if not exists notes_by_owner
        on notes (owner_id, created_at desc, id desc);
    create index if not exists notes_by_owner_and_post
        on notes (owner_id, post_id, created_at desc, id desc);

    -- Everybody has their own notes and sees no others. The sub-select lets PostgreSQL
    -- ask auth.uid() once for a query instead of once for a row.
    alter table notes enable row level security;
    drop policy if exists notes_select_own on notes;
    drop policy if exists notes_insert_own on notes;
    drop policy if exists notes_update_own on notes;
    drop policy if exists notes_delete_own on notes;
    create policy notes_select_own on notes for select
        using (owner_id = (select auth.uid()::text));
    create policy notes_insert_own on notes for insert
        with check (owner_id = (select auth.uid()::text));
    create policy notes_update_own on notes for update
        using (owner_id = (select auth.uid()::text))
        with check (owner_id = (select auth.uid()::text));
    create policy notes_delete_own on notes for delete
        using (owner_id = (select auth.uid()::text));

    -- The newest `per_post` notes of each post, newest first; with a cursor (both
    -- halves of it), those that come after the cursor in that order.
    create or replace function notes_by_post(
        post_ids uuid[],
        per_post int,
        before_created_at timestamptz default null,
        before_id uuid default null
    ) returns setof notes
    language sql stable security invoker
    set search_path from current
    as $body$
        select newest.*
        from (select distinct unnest(post_ids) as post_id) as wanted
        cross join lateral (
            select *
            from notes
            where notes.post_id = wanted.post_id
                and (
                    before_created_at is null
                    or (notes.created_at, notes.id) < (before_created_at, before_id)
                )
            order by notes.created_at desc, notes.id desc
            limit per_post
        ) as newest
        order by newest.post_id, newest.created_at desc, newest.id desc
    $body$;

    -- How many notes each post has; a post without any is not in the answer.
    create or replace function note_counts_by_post(post_ids uuid[])
    returns table (post_id uuid, n bigint)
    language sql stable security invoker
    set search_path from current
    as $body$
        select notes.post_id, count(*)
        from notes
        where notes.post_id = any (post_ids)
        group by notes.post_id
    $body$;

    for grantee in
        select rolname from pg_roles
        where rolname in (
            'authenticated', 'service_role', regexp_replace(target, '_api$', '_role')
        )
    loop
        if not has_schema_privilege(grantee, target, 'usage') then
            execute format('grant usage on schema %I to %I', target, grantee);
        end if;
        if not has_schema_privilege(grantee, 'auth', 'usage') then
            execute format('grant usage on schema auth to %I', grantee);
        end if;
        execute format('grant select, insert, update, delete on notes to %I', grantee);
        execute format(
            'grant execute on function
                notes_by_post(uuid[], int, timestamptz, uuid),
                note_counts_by_post(uuid[])
            to %I',
            grantee
        );
    end loop;

    perform set_config('search_path', path_before, true);
    -- A running PostgREST learns of the new columns and functions.
    perform pg_notify('pgrst', 'reload schema');
end
$init$;
