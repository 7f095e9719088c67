"""A search that several commands share in a real PostgreSQL server, which is started here, on loopback."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import parabola
import pytest
from test_workers import SMALL, SPACE, ended, held, made, started, until, workers_of

FOUND = [shutil.which("initdb"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
INITDB = next((path for path in FOUND if path), None)
pytestmark = pytest.mark.skipif(INITDB is None, reason="no PostgreSQL: `apt-get install postgresql` brings it")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def server_command(program, folder, *words):
    """One of PostgreSQL's programs; it refuses to run as root, so that another user does it then."""
    path = str(Path(INITDB).resolve().with_name(program))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("postgres")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        return ["runuser", "-u", "postgres", "--", path, *words]
    return [path, *words]


class Server:
    """A PostgreSQL server in a folder of its own, which that other user can reach."""

    def __init__(self):
        self.home, self.port = Path(tempfile.mkdtemp(prefix="babysit-postgres-")), free_port()
        self.home.chmod(0o755)
        self.url = f"postgresql+psycopg://babysit@127.0.0.1:{self.port}/postgres"

    def call(self, program, *words):
        words = server_command(program, self.home, "-D", f"{self.home}/data", *words)
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.home)

    def __enter__(self):
        self.call("initdb", "-A", "trust", "-U", "babysit")
        said = f"-p {self.port} -k {self.home} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.call("pg_ctl", "-o", said, "-w", "-l", f"{self.home}/log", "start")
        return self

    def stop(self):
        self.call("pg_ctl", "-m", "immediate", "stop")

    def __exit__(self, *error):
        if (self.home / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="module")
def server():
    """The URL of a database that knows nobody."""
    with Server() as found:
        yield found.url


@pytest.fixture
def program(here):
    shutil.copy(parabola.__file__, here / "program.py")
    return here


def test_four_workers_one_of_them_killed(babysit, server, program):
    with held():
        search = started("slow", *SPACE, *SMALL, "--workers", "4", "--storage", server)
        until(lambda: _running(server) == 4)
        os.kill(workers_of(search)[0], signal.SIGKILL)
    code, out, err = ended(search)
    assert (code, err) == (0, ""), out
    assert Counter((t["stage"], t["number"]) for t in made()).most_common(1)[0][1] == 1
    assert babysit("search", "program.py:slow", *SPACE, *SMALL, "--report", "json=alone.json", "--quiet").code == 0
    assert made() == made("alone.json")


def test_two_commands_begin_at_one_moment_and_share_the_trials(server, program):
    """Tables and study are there already or not: here the study is not."""
    options = (*SPACE, *SMALL, "--workers", "2", "--storage", server, "--seed", "5")
    both = [started("slow", *options, report=f"{k}.json") for k in range(2)]
    for search in both:
        code, out, err = ended(search)
        assert (code, err) == (0, ""), out
    assert made("0.json") == made("1.json")
    assert len(made("0.json")) == 14


def test_a_command_that_was_killed_with_its_workers_is_noticed_by_its_heart(server, program):
    options = (*SPACE, *SMALL, "--storage", server, "--seed", "6", "--set", "heartbeat=1")
    with held():
        first = started("slow", *options)
        until(lambda: _running(server))
        first.kill()
    first.communicate()
    code, out, err = ended(started("slow", *options))
    assert (code, err) == (0, ""), out
    assert len(made()) == 14


def test_a_program_that_kills_the_command_is_given_up_in_the_end(program):
    """One worker is the command itself; only the database knows how often it died."""
    options = ("--param", "activation=choice:relu,swish", "--coarse", "2", "--fine", "0", "--seeds", "0")
    options += ("--storage", "sqlite:///kept.db", "--set", "heartbeat=1")
    codes = [ended(started("deadly", *options))[0] for _ in range(4)]
    assert codes == [-signal.SIGKILL] * 3 + [0]
    outcomes = {t["configuration"]["activation"]: t["reason"] for t in made()}
    assert outcomes == {"relu": "", "swish": "its worker died, 3 times: out of memory, or killed?"}


def test_a_server_that_goes_away_is_told(program):
    with Server() as server:
        with held():
            search = started("slow", *SPACE, *SMALL, "--workers", "2", "--storage", server.url)
            until(lambda: _running(server.url))
            server.stop()
        code, out, err = ended(search)
    assert (code, "Traceback" in err) == (3, False)
    assert "failed: " in out or "could not go on, for the reason above" in out


def _running(server):
    """How many trials of the database run, and have said by whom."""
    import sqlalchemy

    running = "a.trial_id = t.trial_id where key = 'worker' and t.state = 'RUNNING'"
    query = f"select count(*) from trial_user_attributes a join trials t on {running}"
    engine = sqlalchemy.create_engine(server)
    try:
        with engine.connect() as connection:
            return connection.execute(sqlalchemy.text(query)).scalar()
    except sqlalchemy.exc.ProgrammingError:  # the tables are not there yet
        return 0
    finally:
        engine.dispose()
