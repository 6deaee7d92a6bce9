// The upstream calls over undici's pools, the fastest client that Node has.
// Used by mercurius.mjs and yoga.mjs; Apollo has a client of its own.
import { Pool } from 'undici'
import { CONDUIT, FLUX, paths } from './graph.mjs'

const OPTIONS = { connections: 128, pipelining: 1 }
const conduit = new Pool(CONDUIT, OPTIONS)
const flux = new Pool(FLUX, OPTIONS)

async function call(pool, authorization, method, path, content) {
  const headers = { accept: 'application/json', authorization }
  let body
  if (content !== undefined) {
    headers['content-type'] = 'application/json'
    headers.prefer = 'return=representation'
    body = JSON.stringify(content)
  }
  const answer = await pool.request({ method, path, headers, body })
  if (answer.statusCode >= 400) throw new Error(`upstream: ${answer.statusCode}`)
  return answer.body.json()
}

// The calls of one request, with the token that came with it.
export class Api {
  constructor(authorization) {
    this.authorization = authorization
  }

  #conduit(path) {
    return call(conduit, this.authorization, 'GET', path)
  }

  #flux(path) {
    return call(flux, this.authorization, 'GET', path)
  }

  posts(first, relations) {
    return this.#conduit(paths.posts(first, relations))
  }

  postsByIds(ids, relations) {
    return this.#conduit(paths.postsByIds(ids, relations))
  }

  filesByIds(ids) {
    return this.#conduit(paths.filesByIds(ids))
  }

  notes(first) {
    return this.#flux(paths.notes(first))
  }

  notesByIds(ids) {
    return this.#flux(paths.notesByIds(ids))
  }

  notesByPosts(ids, first) {
    const content = { post_ids: ids, per_post: first }
    return call(flux, this.authorization, 'POST', paths.notesByPosts, content)
  }

  updateNote(id, body) {
    return call(flux, this.authorization, 'PATCH', paths.note(id), { body })
  }
}
