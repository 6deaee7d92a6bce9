"""Trials of endurance: `make soak`, `make chaos`, `make connections`.

What lives here: people who ask our server all day, faults of every kind that the
upstreams know, and a model that remembers what each person was told, to compare with
what is there in the end. Development only. It must not import the server or any of its
layers: it talks to it over sockets, as any client does. Of ours it uses only how
`benchmarks/` starts programs.
"""
