"""``syncline init``: the files a new user starts from. Nothing that exists is touched."""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError

if TYPE_CHECKING:
    from syncline.connectors.connector import Json

EXAMPLES = ("crm.py", "practice.py")

ENVIRONMENT = """\
# Copy this file to .env and fill it in. The environment wins over .env. Keep .env out of version control.

# Salesforce: a connected app with the client credentials flow (Setup, App Manager). The run-as user needs the API
# permission and read access to every object and field that is to be copied.
SALESFORCE_DOMAIN=your-company.my.salesforce.com
SALESFORCE_CLIENT_ID=
SALESFORCE_CLIENT_SECRET=
# Or the JWT bearer flow instead of a client secret:
# SALESFORCE_USERNAME=integration@your-company.com
# SALESFORCE_PRIVATE_KEY_FILE=/etc/syncline/salesforce.pem

# Where the Parquet files go: a bucket and a prefix, or a folder to begin with.
LANDING_URL=s3://your-bucket/crm
# AWS credentials are found as usual: a profile, an instance role, or
# AWS_REGION=eu-central-1
# AWS_ACCESS_KEY_ID=
# AWS_SECRET_ACCESS_KEY=
"""

CRONTAB = """\
# Every 15 minutes. Two runs at once do no harm: the second ends at once with exit code 3.
# Install with: crontab -l 2>/dev/null | cat - crontab.example | crontab -
*/15 * * * * cd {folder} && {command} run crm --log-format json >> syncline-crm.log 2>&1
"""

NEXT_STEPS = """\
A first sync, with a practice org on this machine:
  syncline sandbox salesforce        in a terminal of its own
  syncline run practice              again after a while: only what changed is read
  syncline verify practice

Your own org:
  1. copy .env.example to .env and fill it in
  2. choose the streams in pipelines/crm.py
  3. syncline check crm, syncline plan crm, syncline run crm
  4. let cron do it: the line is in crontab.example
"""


def write_starter(folder: Path) -> dict[str, Json]:
    """Writes what is missing and says of each file whether it was written.

    Raises:
        ConfigError: the folder cannot be written.
    """
    contents = {f"pipelines/{name}": _example(name) for name in EXAMPLES}
    contents[".env.example"] = ENVIRONMENT
    contents["crontab.example"] = CRONTAB.format(folder=_cron(str(folder)), command=_cron(_command()))
    files = [{"path": path, "written": _write_new(folder / path, text)} for path, text in contents.items()]
    return {"folder": str(folder), "files": files, "next_steps": NEXT_STEPS}


def _example(name: str) -> str:
    return resources.files("syncline.pipelines.examples").joinpath(name).read_text(encoding="utf-8")


def _write_new(path: Path, text: str) -> bool:
    """Creates the file, or leaves the one that is there; a link that leads nowhere counts as there."""
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise _refused(path.parent, error) from error
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise _refused(path, error) from error
    return True


def _refused(path: Path, error: OSError) -> ConfigError:
    cause = error.strerror or type(error).__name__
    return ConfigError("write example", str(path), cause, "choose a folder that you may write to")


def _command() -> str:
    """Cron knows no activated environment, so the line names the program in full."""
    return shutil.which("syncline", path=str(Path(sys.executable).parent)) or shutil.which("syncline") or "syncline"


def _cron(word: str) -> str:
    """Quoted for the shell; a percent sign ends the command in a crontab unless escaped."""
    return shlex.quote(word).replace("%", r"\%")
