// Apollo Server with its REST data source and DataLoader, as its documentation shows.
import { RESTDataSource } from '@apollo/datasource-rest'
import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import { CONDUIT, FLUX, HOST, PORT, SDL, paths } from './graph.mjs'
import { contextOf, loading } from './loaders.mjs'

class Api extends RESTDataSource {
  constructor(authorization, options) {
    super(options)
    this.authorization = authorization
  }

  willSendRequest(_, request) {
    request.headers.authorization = this.authorization
  }

  posts(first, relations) {
    return this.get(CONDUIT + paths.posts(first, relations))
  }

  postsByIds(ids, relations) {
    return this.get(CONDUIT + paths.postsByIds(ids, relations))
  }

  filesByIds(ids) {
    return this.get(CONDUIT + paths.filesByIds(ids))
  }

  notes(first) {
    return this.get(FLUX + paths.notes(first))
  }

  notesByIds(ids) {
    return this.get(FLUX + paths.notesByIds(ids))
  }

  notesByPosts(ids, first) {
    const body = { post_ids: ids, per_post: first }
    return this.post(FLUX + paths.notesByPosts, { body })
  }

  updateNote(id, body) {
    const headers = { prefer: 'return=representation' }
    return this.patch(FLUX + paths.note(id), { body: { body }, headers })
  }
}

const server = new ApolloServer({ typeDefs: SDL, resolvers: loading })
await startStandaloneServer(server, {
  listen: { port: PORT, host: HOST },
  context: async ({ req }) =>
    contextOf(new Api(req.headers.authorization, { cache: server.cache })),
})
