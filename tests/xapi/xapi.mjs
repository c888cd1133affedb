// The package @xapi/xapi, version 1.0.3 of the specification.
import XAPI from "@xapi/xapi";

const Client = XAPI.default ?? XAPI;
const { XAPI_ENDPOINT: endpoint, XAPI_KEY: key, XAPI_SECRET: secret } = process.env;
const client = new Client({ endpoint, auth: Client.toBasicAuth(key, secret), version: "1.0.3" });
const agent = { objectType: "Agent", mbox: "mailto:xapi-js@example.org", name: "JS" };
const activityId = "https://example.org/lessons/js";
const statement = {
  actor: agent,
  verb: { id: "http://adlnet.gov/expapi/verbs/completed", display: { en: "completed" } },
  object: { objectType: "Activity", id: activityId, definition: { name: { en: "Lesson" } } },
};
let failed = false;

async function one(name, run) {
  try {
    await run();
    console.log(`ok @xapi/xapi ${name}`);
  } catch (error) {
    failed = true;
    console.log(`failed @xapi/xapi ${name}: ${error.message ?? error}`);
  }
}

function expect(is, what) {
  if (!is) throw new Error(what);
}

let id;
await one("about", async () => expect((await client.getAbout()).data.version.includes("1.0.3"), "no version"));
await one("send a statement", async () => {
  [id] = (await client.sendStatement({ statement })).data;
  expect(id.length === 36, "no id");
});
await one("get a statement", async () => {
  const found = (await client.getStatement({ statementId: id })).data;
  expect(found.actor.name === "JS" && found.stored, "another statement");
});
await one("send statements", async () => {
  expect((await client.sendStatements({ statements: [statement, statement] })).data.length === 2, "not two ids");
});
await one("get statements and more", async () => {
  const page = (await client.getStatements({ agent, limit: 1 })).data;
  expect(page.statements.length === 1 && page.more, "no more");
  const more = (await client.getMoreStatements({ more: page.more })).data;
  expect(more.statements.length === 1 && more.statements[0].id !== page.statements[0].id, "the same page");
});
await one("void a statement", async () => {
  await client.voidStatement({ actor: agent, statementId: id });
  const found = (await client.getVoidedStatement({ voidedStatementId: id })).data;
  expect(found.id === id, "not voided");
});
await one("state", async () => {
  const state = { agent, activityId, stateId: "bookmark" };
  await client.setState({ ...state, state: { page: 1 } });
  await client.createState({ ...state, state: { note: "x" } });
  const found = (await client.getState(state)).data;
  expect(found.page === 1 && found.note === "x", JSON.stringify(found));
  expect((await client.getStates({ agent, activityId })).data.includes("bookmark"), "not listed");
  await client.deleteState(state);
});
await one("profiles", async () => {
  const profileId = `p${Date.now()}`;
  await client.setActivityProfile({ activityId, profileId, profile: { a: 1 }, matchHeader: "If-None-Match", etag: "*" });
  const found = await client.getActivityProfile({ activityId, profileId });
  expect(found.data.a === 1 && found.headers.etag, "no profile");
  await client.setActivityProfile({ activityId, profileId, profile: { a: 2 }, matchHeader: "If-Match", etag: found.headers.etag });
  await client.createAgentProfile({ agent, profileId, profile: { b: 1 } });
  expect((await client.getAgentProfile({ agent, profileId })).data.b === 1, "no profile");
});
await one("activity and agent", async () => {
  expect((await client.getActivity({ activityId })).data.definition.name.en === "Lesson", "no definition");
  expect((await client.getAgent({ agent })).data.name.includes("JS"), "no name");
});
process.exit(failed ? 1 : 0);
