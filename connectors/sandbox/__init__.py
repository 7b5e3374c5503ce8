"""A practice Salesforce org on localhost: data, schema, clock, API and faults, all steerable.

::

    org = Org(seed=7, start=datetime(2026, 1, 15, 12, tzinfo=UTC), seed_rows={"Account": 1000, "Contact": 1500})
    with SandboxServer(org) as server:                  # server.url, .client_id, .client_secret; tls=ssl_context
        ...point any client at server.url: client credentials at server.url + "/services/oauth2/token"...

    bearer = {"authorization": f"Bearer {org.access_token()}"}
    response = org.handle(Request("GET", "/services/data/v60.0/limits", bearer))   # in process, no socket: simulation

    with start_process(rows=200_000, seed=1) as sandbox:   # own process: .url .pid .client_id .client_secret .stop()
        sandbox.control("update", object="Account", ids=[...], values={"Name": "New"})
        sandbox.control("totals"); sandbox.cpu_s()
    serve(port=8080, rows=100_000, seed=1)              # blocks; for the command line

``rows`` as a number means Accounts, 1.5 times as many Contacts and half as many Opportunities; or a mapping per object.
With ``start`` the clock is frozen there and moves by ``advance`` only; without it time is real.

Control methods of ``Org`` (the same names as ``POST /__sandbox__/<name>`` with the arguments as a JSON object, answer
``{"result": ...}``; see ``control`` for the few that differ):

* clock: ``now() freeze(at=None) thaw() advance(seconds)``; ``org.clock``
* records: ``seed({object: rows})``, ``insert(object, values, count=, fill=True) -> ids``,
  ``update(object, ids, values, touch="user"|"system"|"none")``, ``delete``, ``hard_delete``, ``undelete``,
  ``merge(object, winner, losers)``, ``purge(object, ids=None)``, ``restamp(object, ids=None)`` (mass re-stamp),
  ``trim_delete_log(object, before)``, ``hide_records(object, ids)``. A value is one for all records, or a list
  with one each.
* late commits: ``visible_after_s=600`` on insert, update and delete (stamped now, seen then), or ``begin() ->
  transaction``, writes with ``transaction=``, ``commit(transaction)`` / ``roll_back(transaction)``. A frozen clock
  makes ties by itself: every write at one instant has one stamp.
* truth: ``ids(object, where="", limit=None)``, ``count(object, where="")``, ``snapshot(object,
  include_deleted=False) -> pa.Table`` (typed, sorted by Id: what a correct copy must hold)
* schema: ``add_field(object, Field(...), value=None)``, ``drop_field``, ``rename_field``, ``retype_field(object, field,
  type=..., length=...)``, ``hide_field``, ``hide_object``, ``add_object(ObjectType(...))``, ``rename_picklist_value``
* trouble: ``inject(kind, method="*", path="*", nth=1, times=1, ...)`` (kinds in ``faults.Fault``; path is a shell
  pattern, ``"*/results"``), ``clear_faults()``, ``plan_job(JobPlan(ending="failed"|"aborted"|"stuck_running"|
  "stuck_queued"|"complete", queued_s=, running_s=, message=))`` for the next Bulk job, ``set_quota(used=, limit=)``,
  ``revoke_sessions()``, ``limit_session_calls(n)``
* who: ``client_id client_secret``, ``user.username .password .security_token``, ``app.public_key`` (PEM, JWT flow),
  ``access_token()``, ``org_id``, ``instance_url`` (set it to move the org), ``refresh_tokens``
* evidence: ``log.entries`` (number, at_ms, method, target, kind, status, rows), ``log.totals()`` (per kind: token
  soap_login describe sobjects query query_more record updated deleted limits batch bulk_create bulk_poll bulk_results
  bulk_pages bulk_abort bulk_delete bulk_list versions other; ``all``), ``log.clear()``, ``jobs()``,
  ``api_calls_used()``
* ``org.settings``: variants of behaviour (see ``Settings``): page sizes, job times, empty-result shapes, locator life,
  gzip, wire style; over HTTP ``settings`` with ``{"bulk_running_s": 5, "wire.bulk_ints_as_doubles": true}``

Objects of a new org (``catalog``): Account, Contact, Opportunity, User (no IsDeleted); AccountHistory (CreatedDate
only), AccountShare (LastModifiedDate only), LoginHistory (LoginTime), ActivityFieldHistory (unfilterable stamp),
CaseStatus (not in Bulk), Ledger__c (not replicateable), Setting__mdt (no stamp), ContentDocumentLink (demands a
filter), ActivityHistory (not queryable), Oddity__c (every odd type), Wide__c (800 fields). They hold no records until
seeded or inserted.
"""

from syncline.connectors.sandbox.bulk import JobPlan
from syncline.connectors.sandbox.faults import Fault
from syncline.connectors.sandbox.http import Request, Response
from syncline.connectors.sandbox.org import Org
from syncline.connectors.sandbox.process import SandboxProcess, serve, start_process
from syncline.connectors.sandbox.records import Locked, Transaction
from syncline.connectors.sandbox.schema import Field, ObjectType
from syncline.connectors.sandbox.server import SandboxServer
from syncline.connectors.sandbox.settings import Settings
from syncline.connectors.sandbox.soql import SoqlError

__all__ = [
    "Fault",
    "Field",
    "JobPlan",
    "Locked",
    "ObjectType",
    "Org",
    "Request",
    "Response",
    "SandboxProcess",
    "SandboxServer",
    "Settings",
    "SoqlError",
    "Transaction",
    "serve",
    "start_process",
]
