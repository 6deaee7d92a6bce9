// The two relations that need a call of their own, batched by DataLoader.
// Used by yoga.mjs and apollo.mjs; Mercurius has loaders of its own.
import DataLoader from 'dataloader'
import { align, group, relations, resolvers } from './graph.mjs'

// What a request's context holds. Servers copy it, so what changes is one level down.
export function contextOf(api) {
  const wanted = { relations: '' }
  const posts = new DataLoader(async (ids) =>
    align(ids, await api.postsByIds(ids, wanted.relations), '_id'),
  )
  return { api, wanted, posts, notesOf: new Map() }
}

function notesOf({ api, notesOf }, first) {
  let loader = notesOf.get(first)
  if (loader === undefined) {
    loader = new DataLoader(async (ids) => group(ids, await api.notesByPosts(ids, first)))
    notesOf.set(first, loader)
  }
  return loader
}

export const loading = {
  ...resolvers,
  Post: {
    ...resolvers.Post,
    notes: (row, { first }, context) => notesOf(context, first).load(row._id),
  },
  Note: {
    ...resolvers.Note,
    post: (row, _, { posts, wanted }, info) => {
      wanted.relations = relations(info)
      return row.post_id && posts.load(row.post_id)
    },
  },
}
