// GraphQL Yoga on node:http with graphql-jit and DataLoader.
import http from 'node:http'
import { useGraphQlJit } from '@envelop/graphql-jit'
import { createSchema, createYoga } from 'graphql-yoga'
import { HOST, PORT, SDL } from './graph.mjs'
import { contextOf, loading } from './loaders.mjs'
import { Api } from './upstream.mjs'

const yoga = createYoga({
  schema: createSchema({ typeDefs: SDL, resolvers: loading }),
  plugins: [useGraphQlJit()],
  context: ({ request }) => contextOf(new Api(request.headers.get('authorization'))),
  logging: false,
  graphiql: false,
})
http.createServer(yoga).listen(PORT, HOST)
