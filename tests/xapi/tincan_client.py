"""The package tincan, version 1.0.x of the specification."""

import os
import sys

from tincan import Activity, ActivityDefinition, Agent, LanguageMap, RemoteLRS, Statement, Verb
from tincan.documents import StateDocument

lrs = RemoteLRS(
    version="1.0.1",
    endpoint=os.environ["XAPI_ENDPOINT"],
    username=os.environ["XAPI_KEY"],
    password=os.environ["XAPI_SECRET"],
)
actor = Agent(name="Python", mbox="mailto:tincan-python@example.org")
lesson = Activity(
    id="https://example.org/lessons/python",
    definition=ActivityDefinition(name=LanguageMap({"en": "Lesson"})),
)
failed = False


def statement():
    verb = Verb(id="http://adlnet.gov/expapi/verbs/experienced", display=LanguageMap({"en": "experienced"}))
    return Statement(actor=actor, verb=verb, object=lesson)


def one(name, response, check=lambda content: True):
    global failed
    is_good = response.success and check(response.content)
    failed = failed or not is_good
    print(f"ok tincan {name}" if is_good else f"failed tincan {name}: {response.data}")
    return response.content


one("about", lrs.about())
first = one("save a statement", lrs.save_statement(statement()))
one("save statements", lrs.save_statements([statement(), statement()]))
one("retrieve a statement", lrs.retrieve_statement(first.id), lambda it: it.actor.name == "Python")
page = one(
    "query statements", lrs.query_statements({"agent": actor, "limit": 2}), lambda it: len(it.statements) == 2
)
one("more statements", lrs.more_statements(page), lambda it: len(it.statements) >= 1)
state = StateDocument(id="bookmark", activity=lesson, agent=actor, content=bytearray(b"page 1"))
one("save state", lrs.save_state(state))
one("retrieve state", lrs.retrieve_state(lesson, actor, "bookmark"), lambda it: bytes(it.content) == b"page 1")
one("retrieve state ids", lrs.retrieve_state_ids(lesson, actor), lambda it: "bookmark" in it)
one("delete state", lrs.delete_state(state))
sys.exit(1 if failed else 0)
