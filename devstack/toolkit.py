"""pt-online-schema-change against a server of the stack."""

import subprocess

from contracts.errors import Unavailable
from devstack.fetch import DebianRoot, Say, say_on_stderr, toolkit_root
from devstack.mysql import MysqlServer


def online_schema_change(server: MysqlServer, database: str, table: str, alter: str, *options: str, say: Say = say_on_stderr) -> str:
    """Runs it to its end; what it said. Raises Unavailable with the end of that when it fails. `alter`: the clauses."""
    root = toolkit_root(say)
    dsn = f"h={server.host},P={server.port},u={server.user},D={database},t={table}"
    script = str(root.path / "usr/bin/pt-online-schema-change")
    # The server is nobody's replica and has none.
    command = root.command("bin/perl", script, "--recursion-method=none", *options, "--alter", alter, "--execute", dsn)
    done = subprocess.run(
        command, env=_environment(root), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=240
    )
    if done.returncode != 0:
        said = "\n".join(done.stdout.splitlines()[-15:])
        raise Unavailable(f"pt-online-schema-change of {database}.{table} ended with {done.returncode}:\n{said}")
    return done.stdout


def _environment(root: DebianRoot) -> dict[str, str]:
    """Perl's modules of this root and not the host's, and where the client library finds how to sign in."""
    folders = [
        folder
        for base in (root.libraries, root.path / "usr/share")
        for name in ("perl5", "perl", "perl-base")
        for folder in (base / name, *sorted((base / name).glob("[0-9]*")))
        if folder.is_dir()
    ]
    plugins = root.libraries / "libmariadb3/plugin"
    return {"PATH": "/usr/bin:/bin", "PERL5LIB": ":".join(map(str, folders)), "MARIADB_PLUGIN_DIR": str(plugins)}
