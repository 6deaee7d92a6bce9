// Plays a visitor's browser and the application's server with the compiled recipes, and
// prints what each of them answered.
//
// Environment: MAINSTEM_URL, EMAIL, PASSWORD, ORIGIN (the page's).
const path = require("node:path");

const recipe = (name) => require(path.join(__dirname, "out", "lib", `${name}.js`));
const { EMAIL, PASSWORD, ORIGIN, MAINSTEM_URL } = process.env;
const realFetch = fetch;
globalThis.visitor = new Map();

// A relative address is the browser's: it sends its cookies and its origin, through the
// rewrites of next.config.ts. An absolute one is the application's own server.
globalThis.fetch = async (address, options) => {
  if (!address.startsWith("/")) return realFetch(address, options);
  const rewrites = await require("./out/next.config.js").default.rewrites();
  const paths = rewrites.map((each) => each.source.replace("/:path*", "/"));
  const wanted = new URL(address, ORIGIN).pathname;
  if (!paths.some((each) => wanted === each || (each.endsWith("/") && wanted.startsWith(each))))
    throw new Error(`no rewrite for ${address}`);
  const cookie = [...globalThis.visitor].map((pair) => pair.join("=")).join("; ");
  const headers = { ...options.headers, origin: ORIGIN, ...(cookie && { cookie }) };
  const answer = await realFetch(MAINSTEM_URL + address, { ...options, headers });
  for (const line of answer.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
    value ? globalThis.visitor.set(name, value) : globalThis.visitor.delete(name);
  }
  return answer;
};

async function main() {
  const { signIn, signOut, viewer } = recipe("session");
  const lists = recipe("lists");
  const said = {};
  said.before = await viewer();
  said.refused = await signIn(EMAIL, "wrong");
  said.signedIn = await signIn(EMAIL, PASSWORD);
  said.viewer = await viewer();
  said.posts = await lists.posts();
  said.nextPosts = await lists.posts(said.posts.pageInfo.endCursor);
  const [{ id }] = said.posts.nodes;
  const { createNote } = recipe("writes");
  said.created = await createNote("from a form", id, "a key");
  said.again = await createNote("from a form", id, "a key");
  said.invalid = await createNote("about nothing", "nonsense", "another key");
  said.post = await lists.post(id);
  said.notes = await lists.notes();
  const { upload } = recipe("upload");
  said.uploaded = await upload(new File(["hello"], "größe.txt", { type: "text/plain" }));
  const preview = await fetch(said.posts.nodes[0].coverFile.previewUrl, { method: "GET" });
  said.preview = { status: preview.status, type: preview.headers.get("content-type") };
  await signOut();
  said.after = await viewer();
  said.notesAfter = await lists.notes().catch((error) => error.message);
  console.log(JSON.stringify(said));
}

main();
