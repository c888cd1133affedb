// The package tincanjs, version 1.0.x of the specification.
import TinCan from "tincanjs";

const { XAPI_ENDPOINT: endpoint, XAPI_KEY: username, XAPI_SECRET: password } = process.env;
const lrs = new TinCan.LRS({ endpoint, username, password, allowFail: false });
const statement = () =>
  new TinCan.Statement({
    actor: { mbox: "mailto:tincan-js@example.org", name: "TinCan" },
    verb: { id: "http://adlnet.gov/expapi/verbs/answered" },
    target: { id: "https://example.org/questions/1" },
  });
let failed = false;

async function one(name, run) {
  try {
    await new Promise((resolve, reject) => run((error, result) => (error ? reject(new Error(`${error} ${result?.responseText ?? ""}`)) : resolve(result))));
    console.log(`ok tincanjs ${name}`);
  } catch (error) {
    failed = true;
    console.log(`failed tincanjs ${name}: ${error.message}`);
  }
}

const first = statement();
await one("save a statement", (callback) => lrs.saveStatement(first, { callback }));
await one("save statements", (callback) => lrs.saveStatements([statement(), statement()], { callback }));
await one("retrieve a statement", (callback) => lrs.retrieveStatement(first.id, { callback }));
await one("query statements", (callback) =>
  lrs.queryStatements({
    params: { agent: first.actor, limit: 2 },
    callback: (error, result) => callback(error ?? (result.statements.length === 2 ? null : "not two"), result),
  }));
const state = { agent: first.actor, activity: first.target };
await one("save state", (callback) => lrs.saveState("s", { a: 1 }, { ...state, contentType: "application/json", callback }));
await one("retrieve state", (callback) =>
  lrs.retrieveState("s", { ...state, callback: (error, result) => callback(error ?? (result.contents.a === 1 ? null : "another state"), result) }));
process.exit(failed ? 1 : 0);
