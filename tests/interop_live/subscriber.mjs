// Follows one subscription with a reference client; tells each thing that happens as
// a line of JSON. Settings: CLIENT (ws or sse), URLS (tried in turn), BEARER, QUERY.
import { createClient as createSocketClient } from "graphql-ws";
import { createClient as createStreamClient } from "graphql-sse";
import WebSocket from "ws";

const { CLIENT, URLS, BEARER, QUERY } = process.env;
const urls = URLS.split(",");
const authorization = `Bearer ${BEARER}`;
const tell = (kind, more = {}) =>
  console.log(JSON.stringify({ kind, at: performance.timeOrigin + performance.now(), ...more }));

let turn = 0;
const nextUrl = () => urls[turn++ % urls.length];
const retries = { retryAttempts: 3, retryWait: () => new Promise((done) => setTimeout(done, 100)) };

const clients = {
  ws: () =>
    createSocketClient({
      url: () => nextUrl().replace("http:", "ws:") + "/graphql",
      webSocketImpl: WebSocket,
      connectionParams: { authorization },
      ...retries,
      on: {
        connected: () => tell("connected"),
        closed: (event) => tell("closed", { code: event.code, reason: event.reason }),
      },
    }),
  sse: () =>
    createStreamClient({
      url: () => nextUrl() + "/graphql/stream",
      headers: { authorization },
      ...retries,
      on: { connected: () => tell("connected") },
    }),
};

clients[CLIENT]().subscribe(
  { query: QUERY },
  {
    next: (result) => tell("next", { result }),
    error: (error) =>
      tell("error", { errors: Array.isArray(error) ? error : undefined, code: error.code, text: String(error.message ?? error) }),
    complete: () => tell("complete"),
  },
);
