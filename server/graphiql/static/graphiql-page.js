// Starts GraphiQL and runs the header bar: who is signed in, sign-in, sign-out.
// Loaded by page.html after React and before GraphiQL; speaks to this server only.
"use strict";

// The style elements that GraphiQL's widgets add carry this nonce, so the page needs no
// 'unsafe-inline'. It must be known before GraphiQL's own script runs.
window.__webpack_nonce__ = document.getElementById("page-script").nonce;

const ENDPOINT = "/graphql";
const START_DOCUMENT = "/graphiql/start.graphql";

const VIEWER = `query WhoIsSignedIn { viewer { email username } }`;

const SIGN_IN = `mutation SignIn($input: SignInInput!) {
  signIn(input: $input) {
    __typename
    ... on SignInSuccess { viewer { email username } }
    ... on InvalidCredentials { message }
    ... on InvalidInput { message }
  }
}`;

const SIGN_OUT = `mutation SignOut { signOut { ok } }`;

const MESSAGES = {
  RATE_LIMITED: "Too many attempts. Wait a little, then try again.",
  UPSTREAM_TIMEOUT: "Conduit did not answer in time. Try again.",
  UPSTREAM_UNAVAILABLE: "Conduit or the session store is not reachable. Try again.",
};

const part = (id) => document.getElementById(id);

// One GraphQL request. Every answer of the server is JSON, also a refused one.
async function request(body, headers = {}) {
  const response = await fetch(ENDPOINT, {
    method: "POST",
    credentials: "same-origin",
    headers: {
      Accept: "application/graphql-response+json, application/json",
      "Content-Type": "application/json",
      ...headers,
    },
    body: JSON.stringify(body),
  });
  try {
    return await response.json();
  } catch {
    return { errors: [{ message: `The server answered ${response.status}.` }] };
  }
}

function messageOf(answer) {
  const error = answer.errors?.[0];
  return error && (MESSAGES[error.extensions?.code] ?? error.message);
}

function showMessage(text, plain = false) {
  const message = part("message");
  message.textContent = text ?? "";
  message.hidden = !text;
  message.classList.toggle("plain", plain);
}

function showViewer(viewer) {
  const name = viewer && (viewer.email ?? viewer.username ?? "somebody");
  part("sign-in").hidden = Boolean(viewer);
  part("signed-in").hidden = !viewer;
  part("viewer").textContent = name ?? "";
  part("initial").textContent = name?.[0] ?? "";
}

// Runs one action of the bar: its button rests meanwhile, its failure is shown.
async function act(button, action) {
  button.disabled = true;
  showMessage(null);
  try {
    await action();
  } catch {
    showMessage("The server is not reachable.");
  } finally {
    button.disabled = false;
  }
}

async function askViewer() {
  const answer = await request({ query: VIEWER });
  showViewer(answer.data?.viewer ?? null);
  showMessage(messageOf(answer));
}

async function signIn() {
  const input = { email: part("email").value, password: part("password").value };
  const answer = await request({ query: SIGN_IN, variables: { input } });
  const result = answer.data?.signIn;
  if (result?.__typename !== "SignInSuccess") {
    showMessage(result?.message ?? messageOf(answer) ?? "Sign-in failed.");
    part("password").select();
    return;
  }
  part("sign-in").reset();
  showViewer(result.viewer);
}

async function signOut() {
  const answer = await request({ query: SIGN_OUT });
  if (!answer.data?.signOut?.ok) {
    showMessage(messageOf(answer) ?? "Sign-out failed.");
    return;
  }
  showViewer(null);
  showMessage("Signed out.", true);
}

function startBar() {
  part("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    act(part("sign-in-button"), signIn);
  });
  part("sign-out-button").addEventListener("click", () => {
    act(part("sign-out-button"), signOut);
  });
  act(part("sign-in-button"), askViewer);
}

async function startGraphiQL() {
  const start = await fetch(START_DOCUMENT);
  const root = ReactDOM.createRoot(part("graphiql"));
  root.render(
    React.createElement(GraphiQL, {
      fetcher: (body, options) => request(body, options?.headers),
      defaultQuery: start.ok ? await start.text() : "",
      defaultEditorToolsVisibility: false,
      shouldPersistHeaders: false,
    }),
  );
}

document.addEventListener("DOMContentLoaded", () => {
  startBar();
  startGraphiQL();
});
