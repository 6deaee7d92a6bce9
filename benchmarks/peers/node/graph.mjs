// The part of our graph that the measured queries need, over the same upstream calls.
// Shared by mercurius.mjs, yoga.mjs and apollo.mjs. A context holds `api`, the calls
// of one request with its caller's token; how the two relations that need a call of
// their own are batched is left to each server's own means.

export const FLUX = process.env.FLUX_URL
export const CONDUIT = process.env.CLIENT_BASE_URL
export const PORT = Number(process.env.PORT)
export const HOST = '127.0.0.1'

const NOTE_COLUMNS = 'id,body,created_at,updated_at,post_id'

export const SDL = `
  scalar DateTime
  interface Node { id: ID! }
  type Query {
    posts(first: Int = 20): PostConnection
    notes(first: Int = 20): NoteConnection
    nodes(ids: [ID!]!): [Node]!
  }
  type Mutation { updateNote(input: UpdateNoteInput!): UpdateNoteResult! }
  type User implements Node { id: ID! username: String }
  type File implements Node { id: ID! name: String! mimeType: String }
  type Post implements Node {
    id: ID! title: String! body: String createdAt: DateTime!
    author: User coverFile: File notes(first: Int = 10): NoteConnection
  }
  type Note implements Node {
    id: ID! body: String! createdAt: DateTime! updatedAt: DateTime post: Post
  }
  type PostConnection { nodes: [Post!]! }
  type NoteConnection { nodes: [Note!]! }
  input UpdateNoteInput { id: ID! body: String! }
  type UpdateNoteSuccess { note: Note! }
  type NotFound { message: String! }
  union UpdateNoteResult = UpdateNoteSuccess | NotFound
`

// Paths of the calls, as our server asks them.
export const paths = {
  posts: (first, relations) =>
    `/database/Post?skip=0&limit=${first}&sort=-createdAt,-_id${populate(relations)}`,
  postsByIds: (ids, relations) =>
    `/database/function/GetPostsByIds?ids=${ids.join(',')}${populate(relations)}`,
  filesByIds: (ids) => `/database/function/GetFilesByIds?ids=${ids.join(',')}`,
  notes: (first) =>
    `/notes?select=${NOTE_COLUMNS}&order=created_at.desc,id.desc&limit=${first}`,
  notesByIds: (ids) => `/notes?select=${NOTE_COLUMNS}&id=in.(${ids.join(',')})`,
  notesByPosts: `/rpc/notes_by_post?select=${NOTE_COLUMNS}`,
  note: (id) => `/notes?id=eq.${id}&select=${NOTE_COLUMNS}`,
}

const populate = (relations) => (relations ? `&populate=${relations}` : '')

const globalId = (kind, key) => Buffer.from(`${kind}:${key}`).toString('base64url')
const parseGlobalId = (id) => Buffer.from(id, 'base64url').toString().split(':')

// Which relations a selection asks for; kept by document node, which servers keep too.
const relationsOf = new WeakMap()
export function relations(info) {
  const [node] = info.fieldNodes
  let found = relationsOf.get(node)
  if (found === undefined) {
    const names = new Set()
    const walk = ({ selectionSet }) =>
      selectionSet?.selections.forEach((each) => {
        if (each.kind === 'Field') names.add(each.name.value)
        walk(each.kind === 'FragmentSpread' ? info.fragments[each.name.value] : each)
      })
    walk(node)
    found = ['author', 'coverFile'].filter((name) => names.has(name)).join(',')
    relationsOf.set(node, found)
  }
  return found
}

// Rows in the order of the ids asked for, null for those that are missing.
export function align(ids, rows, key) {
  const found = new Map(rows.map((row) => [row[key], row]))
  return ids.map((id) => found.get(id) ?? null)
}

// Lists of rows, one for each post.
export function group(ids, rows) {
  const found = new Map(ids.map((id) => [id, []]))
  for (const row of rows) found.get(row.post_id).push(row)
  return ids.map((id) => ({ nodes: found.get(id) }))
}

async function nodes(_, { ids }, { api }) {
  const asked = ids.map(parseGlobalId)
  const of = (kind) => asked.filter((each) => each[0] === kind).map((each) => each[1])
  const [posts, notes, files] = await Promise.all([
    api.postsByIds(of('Post'), ''),
    api.notesByIds(of('Note')),
    api.filesByIds(of('File')),
  ])
  const found = new Map()
  for (const row of posts) found.set(row._id, row)
  for (const row of notes) found.set(row.id, row)
  for (const row of files) found.set(row._id, row)
  return asked.map(([, key]) => found.get(key) ?? null)
}

export const resolvers = {
  Query: {
    posts: async (_, { first }, { api }, info) => ({
      nodes: (await api.posts(first, relations(info))).documents,
    }),
    notes: async (_, { first }, { api }) => ({ nodes: await api.notes(first) }),
    nodes,
  },
  Mutation: {
    updateNote: async (_, { input }, { api }) => {
      const [, key] = parseGlobalId(input.id)
      const [note] = await api.updateNote(key, input.body)
      return note ? { note } : { message: 'There is no such note.' }
    },
  },
  Node: {
    __resolveType: (row) => (row.mimeType ? 'File' : row.title ? 'Post' : 'Note'),
  },
  UpdateNoteResult: {
    __resolveType: (result) => (result.note ? 'UpdateNoteSuccess' : 'NotFound'),
  },
  User: { id: (row) => globalId('User', row._id) },
  File: { id: (row) => globalId('File', row._id) },
  Post: { id: (row) => globalId('Post', row._id) },
  Note: {
    id: (row) => globalId('Note', row.id),
    createdAt: (row) => row.created_at,
    updatedAt: (row) => row.updated_at,
  },
}
