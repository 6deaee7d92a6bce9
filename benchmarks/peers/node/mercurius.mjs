// Fastify and Mercurius with its JIT compiler and its own batching loaders.
import fastify from 'fastify'
import mercurius from 'mercurius'
import { HOST, PORT, SDL, align, group, relations, resolvers } from './graph.mjs'
import { Api } from './upstream.mjs'

// Without its cache, whose keys are whole rows as JSON, a loader costs less here.
const WITH_INFO = { cache: false }

async function notesOfPosts(queries, { api }) {
  const ids = queries.map(({ obj }) => obj._id)
  return group(ids, await api.notesByPosts(ids, queries[0].params.first))
}

async function postsOfNotes(queries, { api }) {
  const ids = queries.map(({ obj }) => obj.post_id)
  const wanted = relations(queries[0].info)
  return align(ids, await api.postsByIds([...new Set(ids)], wanted), '_id')
}

// Mercurius names the resolver of an abstract type as GraphQL.js does.
const { Node, UpdateNoteResult, ...others } = resolvers
const app = fastify()
app.register(mercurius, {
  schema: SDL,
  resolvers: {
    ...others,
    Node: { resolveType: Node.__resolveType },
    UpdateNoteResult: { resolveType: UpdateNoteResult.__resolveType },
  },
  loaders: {
    Post: { notes: { loader: notesOfPosts, opts: WITH_INFO } },
    Note: { post: { loader: postsOfNotes, opts: WITH_INFO } },
  },
  context: (request) => ({ api: new Api(request.headers.authorization) }),
  jit: 1,
  graphiql: false,
})
await app.listen({ port: PORT, host: HOST })
