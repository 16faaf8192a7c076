"""What is wrong with a variable, in the language of LANGUAGE_CODE: it is said before there is a log.

Of what is said by us, here and in bridge/, batches/ and config/, and by the libraries that read variables.
"""

from process.said import Forms, _, speaker

_FORMS = Forms(
    (
        # --- process
        _('is "{value}"; it must be {choices} or {choice}'),
        _('is "{value}"; it must be a name such as Europe/Paris, or UTC'),
        _("{file} is empty"),
        _("it cannot be read: {why}"),
        _("it is not UTF-8"),
        _("it is not text"),
        _("{file} cannot be read: {why}"),
        _("{why}, and ; as %3B"),
        _("not an address: {example}, and behind ? only what redis-py knows"),
        _("not an address: {example}; in its user and password write {signs} and a blank as {codes}"),
        # --- bridge
        _("it has a password and no user: {example}"),
        _("it has a path; topics belong into MQTT_TOPICS"),
        _("behind its ? stands version=5, version=3.1.1, or nothing"),
        _("is for mqtts:// alone, and MQTT_URL begins with mqtt://; change one or the other"),
        _("missing: MQTT_CERT_FILE is given, and a certificate wants its key"),
        _("missing: MQTT_KEY_FILE is given, and a key wants its certificate"),
        _(
            "the key has a passphrase, and nobody is there to type it; `openssl pkey -in … -out …` "
            "writes it without"
        ),
        _("not the key of the certificate in MQTT_CERT_FILE"),
        _("{file} holds no private key in PEM form"),
        _("{file} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"),
        _("OpenSSL does not take it: {why}"),
        _("names no topic"),
        _("an MQTT topic filter is not empty, holds no NUL and is at most 65,535 bytes"),
        _("{filter} is not $share/group/filter"),
        _("{filter} is not an MQTT topic filter"),
        _("{filter} does not end in a level that names a board, such as iot/status/+"),
        # --- config, runner
        _("not a rate: 10/minute, or off"),
        _("they must differ"),
        # --- environs and marshmallow
        _("Environment variable not set."),
        _("Not a valid boolean."),
        _("Not a valid integer."),
        _("Not a valid number."),
        _("Must be greater than or equal to {least} and less than or equal to {most}."),
        _("Must be greater than or equal to {least}."),
        _("Must be less than or equal to {most}."),
    ),
    nested={"why"},
)


def said(why: str, language: str) -> str:
    return why if language == "en" else _FORMS.say(why, speaker(language))
