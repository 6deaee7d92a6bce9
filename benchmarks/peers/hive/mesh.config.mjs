// The part of our graph that Mesh's JSON schema handler can say, over the same upstream
// calls. Ids are the upstreams' own, and what a list populates is fixed, so there are
// two fields for posts. File is a name that Mesh reserves.
import { defineConfig } from '@graphql-mesh/compose-cli'
import { loadJSONSchemaSubgraph } from '@omnigraph/json-schema'

// Replaced by the real address in gateway.config.mjs: the supergraph is made before.
const UPSTREAM = 'http://upstream.invalid'

const object = (title, properties) => ({ type: 'object', title, properties })
const array = (items) => ({ type: 'array', items })
const text = { type: 'string' }
const integer = { type: 'integer' }

const user = object('User', { _id: text, username: text })
const cover = object('CoverFile', { _id: text, name: text, mimeType: text })
const plain = { _id: text, title: text, body: text, createdAt: text }
const post = object('Post', { ...plain, author: user, coverFile: cover })
const bare = object('BarePost', plain)
const note = object('Note', { id: text, body: text, created_at: text, post_id: text })

const query = (field, path, responseSchema, argTypeMap, more) => ({
  type: 'Query',
  method: 'GET',
  field,
  path,
  responseSchema,
  argTypeMap,
  ...more,
})
const LIST = '/database/Post?skip=0&limit={args.first}&sort=-createdAt,-_id'
const operations = [
  query('posts', LIST, object('BarePostPage', { documents: array(bare) }), {
    first: integer,
  }),
  query(
    'postsWithRelations',
    `${LIST}&populate=author,coverFile`,
    object('PostPage', { documents: array(post) }),
    { first: integer },
  ),
  query(
    'notes',
    '/notes?select=id,body,created_at,updated_at,post_id' +
      '&order=created_at.desc,id.desc&limit={args.first}',
    array(note),
    { first: integer },
  ),
  query(
    'postsByIds',
    '/database/function/GetPostsByIds?populate=author,coverFile',
    array(post),
    { ids: array(text) },
    { queryParamArgMap: { ids: 'ids' } },
  ),
]

export const composeConfig = defineConfig({
  subgraphs: [
    {
      sourceHandler: loadJSONSchemaSubgraph('Upstreams', {
        endpoint: UPSTREAM,
        operations,
        queryStringOptions: { arrayFormat: 'comma' },
        operationHeaders: { authorization: '{context.headers.authorization}' },
      }),
    },
  ],
  additionalTypeDefs: `
    extend type Note {
      post: Post @resolveTo(
        sourceName: "Upstreams", sourceTypeName: "Query", sourceFieldName: "postsByIds",
        keyField: "post_id", keysArg: "ids"
      )
    }
  `,
})
