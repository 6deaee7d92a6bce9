// A small web application as the platforms' Next.js guide builds it: iron-session holds
// {userId, vaultKey}, ioredis holds the tokens, a 401 is answered by a renewal without
// any lock. The tests run it beside the server, on the same vault and the same secret.
//
// Environment: IRON_SESSION (8 or 9), SESSION_SECRET, REDIS_SOCKET, CONDUIT, SECURE.
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";

const { getIronSession } = await import(`iron-session-${process.env.IRON_SESSION}`);
const redis = new Redis({ path: process.env.REDIS_SOCKET });
const conduit = process.env.CONDUIT;
const secret = process.env.SESSION_SECRET;
const options = {
  cookieName: "conduit_session",
  password: secret.startsWith("{") ? JSON.parse(secret) : secret,
  cookieOptions: { httpOnly: true, sameSite: "lax", secure: process.env.SECURE === "1" },
};
const WEEK_S = 604800;

const save = (key, pair) =>
  redis.set(`vault:${key}`, JSON.stringify(pair), "EX", WEEK_S);

async function post(path, { token, body } = {}) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  return fetch(conduit + path, {
    method: "POST",
    headers,
    body: JSON.stringify(body ?? {}),
  });
}

async function signIn(request, response, session, { email, password }) {
  const answer = await post("/authentication/local", { body: { email, password } });
  if (!answer.ok) return reply(response, answer.status, {});
  const { accessToken, refreshToken } = await answer.json();
  const claims = JSON.parse(Buffer.from(accessToken.split(".")[1], "base64url"));
  session.userId = claims.id;
  session.vaultKey = randomUUID();
  await save(session.vaultKey, { accessToken, refreshToken });
  await session.save();
  return reply(response, 200, { userId: session.userId });
}

async function me(request, response, session) {
  const stored = session.vaultKey && (await redis.get(`vault:${session.vaultKey}`));
  if (!stored) return reply(response, 200, { user: null });
  let pair = JSON.parse(stored);
  let answer = await whoAmI(pair.accessToken);
  if (answer.status === 401) {
    const renewed = await post("/authentication/renew", { token: pair.refreshToken });
    if (!renewed.ok) return reply(response, 200, { user: null });
    const { accessToken, refreshToken } = await renewed.json();
    pair = { ...pair, accessToken, refreshToken };
    await save(session.vaultKey, pair);
    answer = await whoAmI(pair.accessToken);
  }
  return reply(response, 200, { user: answer.ok ? await answer.json() : null });
}

const whoAmI = (token) =>
  fetch(`${conduit}/authentication/user`, {
    headers: { authorization: `Bearer ${token}` },
  });

async function signOut(request, response, session) {
  if (session.vaultKey) await redis.del(`vault:${session.vaultKey}`);
  session.destroy();
  return reply(response, 200, {});
}

function reply(response, status, body) {
  response.statusCode = status;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(body));
}

const server = createServer(async (request, response) => {
  let text = "";
  for await (const part of request) text += part;
  const session = await getIronSession(request, response, options);
  const route = { "/sign-in": signIn, "/me": me, "/sign-out": signOut }[request.url];
  if (request.url === "/session") return reply(response, 200, { ...session });
  if (!route) return reply(response, 404, {});
  return route(request, response, session, text ? JSON.parse(text) : {});
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.on("SIGTERM", () => process.exit(0));
