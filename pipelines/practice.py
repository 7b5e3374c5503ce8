"""``syncline sandbox salesforce``: serves the practice org and tells how to reach it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import click

from syncline.connectors.errors import ConfigError
from syncline.connectors.sandbox.process import org_rows, serve

if TYPE_CHECKING:
    from syncline.connectors.sandbox.server import SandboxServer

DIRECTIONS = """\
The org answers at {url} until Ctrl-C. It holds {rows}.

For Syncline (Salesforce.from_env()), in another terminal or in .env:
  export SALESFORCE_INSTANCE_URL={url}
  export SALESFORCE_CLIENT_ID={client_id}
  export SALESFORCE_CLIENT_SECRET={client_secret}

For any other client, a token (OAuth 2.0 client credentials), then the REST and Bulk APIs as usual:
  TOKEN=$(curl -s {url}/services/oauth2/token -d grant_type=client_credentials \\
    -d client_id={client_id} -d client_secret={client_secret} | sed 's/.*"access_token" *: *"\\([^"]*\\)".*/\\1/')
  curl -s -H "Authorization: Bearer $TOKEN" "{url}/services/data/v60.0/query?q=SELECT+COUNT()+FROM+Account"

To change records, the clock, or to make trouble, POST to the control API:
  curl -s {url}/__sandbox__/insert -d '{{"object": "Account", "count": 10}}'
"""


def serve_salesforce(port: int, rows: int, seed: int) -> None:
    """Blocks until Ctrl-C.

    Raises:
        ConfigError: the port is taken.
    """

    def tell(server: SandboxServer) -> None:
        held = ", ".join(f"{count:,} {name}" for name, count in org_rows(rows).items())
        known = {"client_id": server.client_id, "client_secret": server.client_secret}
        click.echo(DIRECTIONS.format(url=server.url, rows=held, **known))

    click.echo("Making up the records ...")
    try:
        serve(port, rows, seed, ready=tell)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        hint = "choose another with --port, or 0 for a free one"
        raise ConfigError("serve the practice org", f"port {port}", os.strerror(error.errno), hint) from error
    except KeyboardInterrupt:
        click.echo("The org is gone; nothing of it was kept.")
