// Hive Gateway over the supergraph that mesh.config.mjs composed.
import { readFileSync } from 'node:fs'

const composed = readFileSync(new URL('supergraph.graphql', import.meta.url), 'utf8')

export const gatewayConfig = {
  supergraph: composed.replaceAll('http://upstream.invalid', process.env.UPSTREAM_URL),
  port: Number(process.env.PORT),
  host: '127.0.0.1',
  logging: 'error',
  pollingInterval: 0,
  graphiql: false,
  landingPage: false,
}
