-- The fixture of recordings/flux, as their README describes it. What single
-- files had beyond it is in `prepare` of test_recordings.py.
create table notes (
    id uuid primary key default gen_random_uuid(),
    body text not null,
    created_at timestamptz not null default now()
);
insert into notes
select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'note ' || n,
    timestamptz '2026-01-01Z' + n * interval '1 minute'
from generate_series(1, 25) as n;
-- An update, because an unordered read shows these two after the others.
update notes set created_at = '2026-01-01T00:10:00.123456Z' where body in ('note 10', 'note 11');

create table private_notes (
    id uuid primary key default gen_random_uuid(),
    owner_id text not null,
    body text not null,
    created_at timestamptz not null default now()
);
insert into private_notes (id, owner_id, body) values
    ('10000000-0000-4000-8000-000000000001', 'alice@example.test', 'alice 1'),
    ('10000000-0000-4000-8000-000000000002', 'alice@example.test', 'alice 2'),
    ('10000000-0000-4000-8000-000000000003', 'bob@example.test', 'bob 1');
alter table private_notes enable row level security;
create policy select_own on private_notes for select using (owner_id = auth.uid());
create policy insert_own on private_notes for insert with check (owner_id = auth.uid());
create policy update_own on private_notes for update
    using (owner_id = auth.uid()) with check (owner_id = auth.uid());
create policy delete_own on private_notes for delete using (owner_id = auth.uid());

create table folders (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    slug text not null unique,
    created_at timestamptz not null default now()
);
insert into folders
select ('20000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
    'Folder ' || n, 'folder-' || n, '2026-01-01Z'
from generate_series(1, 3) as n;

create table entries (
    id uuid primary key default gen_random_uuid(),
    folder_id uuid not null references folders on delete cascade,
    title text not null,
    rank int not null default 0 check (rank >= 0),
    archived_at timestamptz,
    big bigint,
    amount numeric(20, 4),
    meta jsonb,
    tags text[],
    created_at timestamptz not null default now()
);
insert into entries
select ('30000000-0000-4000-8000-' || lpad((f * 10 + i)::text, 12, '0'))::uuid,
    ('20000000-0000-4000-8000-' || lpad(f::text, 12, '0'))::uuid,
    format('F%s entry %s', f, i), i,
    case when i % 2 = 0 then timestamptz '2026-02-01Z' end,
    9007199254740993, 12.3400, jsonb_build_object('i', i), array['t' || i, 'a,b'],
    timestamptz '2026-01-01Z' + i * interval '1 hour'
from generate_series(1, 2) as f, generate_series(1, 5) as i;

create table locked (id int primary key, secret text);
insert into locked values (1, 'x');

create view note_counts as
    select folder_id, count(*) as n from entries group by folder_id;

create function notes_by_ids(ids uuid[]) returns setof notes language sql stable as $$
    select * from notes where id = any (ids) order by id
$$;
create function top_entries(folder_ids uuid[], n int) returns setof entries
language sql stable as $$
    select e.* from unnest(folder_ids) with ordinality as f(id, place)
    cross join lateral (
        select * from entries where folder_id = f.id
        order by created_at desc, id desc limit n
    ) as e order by f.place, e.created_at desc
$$;
create function add_them(a int, b int) returns int language sql immutable as $$
    select a + b
$$;
create function whoami() returns json language sql stable as $$
    select json_build_object(
        'role', current_user, 'sub', auth.uid(),
        'claims', current_setting('request.jwt.claims', true)::json,
        'path', current_setting('search_path'))
$$;
create function raise_pt(st text) returns void language plpgsql as $$
begin
    raise sqlstate 'PT402' using message = 'Payment Required',
        detail = 'Quota exceeded', hint = 'Upgrade your plan';
end $$;
create function raise_plain() returns void language plpgsql as $$
begin
    raise exception 'business rule broken' using detail = 'the detail', hint = 'the hint';
end $$;
create function slow(ms int) returns int language plpgsql as $$
begin
    perform pg_sleep(ms / 1000.0);
    return 1;
end $$;
create function boom(code text) returns void language plpgsql as $$
begin
    raise exception using errcode = code, message = 'made up ' || code;
end $$;

grant select, insert, update, delete on notes, private_notes, folders, entries
    to t_5ecfa3ab72d1_role, authenticated;
grant select, insert, update, delete on note_counts to t_5ecfa3ab72d1_role;
grant usage on schema t_5ecfa3ab72d1_api to authenticated, authenticator;
revoke all on locked from t_5ecfa3ab72d1_role;
