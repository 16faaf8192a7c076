"""What bridge and worker say of the messages that pass: each while they are few, one line a second else."""

import logging
import time
from collections.abc import Callable, Iterable

FEW_A_SECOND = 10
_LINES = {
    "en": {
        "connected": "MQTT connected with code: {}",
        "received": "Message received: {}",
        "received many": "{} messages received in {:.1f} s",
        "stored": "Measurement stored",
        "stored many": "{} measurements stored, {} duplicates, {} rejected in {:.1f} s",
        "duplicate": "Measurement stored before",
        "rejected": "Rejected: {} (batch {}); the rejected messages say why",
        "subscription refused": "the broker at {} refuses the subscription to {} ({}): "
        "allow it to this user in the broker's access list, or change MQTT_TOPICS",
        "name held": "the name BRIDGE_NAME={} belongs to another bridge (process {} on {}); waiting for "
        "its end. To run both, give each a BRIDGE_NAME of its own",
        "name is ours": "the name BRIDGE_NAME={} is free now",
        "session": "session {} at the broker",
        "session new": "session {} at the broker, a new one: Redis knows none of BRIDGE_NAME={}",
        "tls unknown ca": "no CA that is trusted here has signed the certificate of {} ({}): "
        "give its CA's certificate as MQTT_CA_FILE",
        "tls wrong name": "the certificate of {} is not for that name ({}): write a name that it holds into "
        "MQTT_URL, or have one made for this name",
        "tls not valid now": "the certificate of {} is not valid today ({}): have it renewed, or set this "
        "machine's clock",
        "tls bad certificate": "the certificate of {} is not accepted ({}): have it made anew",
        "tls client certificate": "{} wants a client certificate that it accepts ({}): "
        "give one as MQTT_CERT_FILE, with its key as MQTT_KEY_FILE",
        "tls refused": "{} breaks off the TLS handshake ({}): does it want a client certificate "
        "(MQTT_CERT_FILE, MQTT_KEY_FILE)? Else the two have no cipher in common",
        "tls version": "{} and this bridge have no version of TLS in common ({}): it must speak 1.2 or later",
        "tls none": "{} does not answer in TLS ({}): MQTT_URL must name the port of its TLS listener "
        "(mostly 8883), or begin with mqtt:// where it has none",
        "tls closed": "{} closes the TLS connection without an answer: does it want a client certificate "
        "(MQTT_CERT_FILE, MQTT_KEY_FILE), or another one?",
    },
    "fr": {
        "connected": "MQTT connecté avec le code : {}",
        "received": "Message reçu : {}",
        "received many": "{} messages reçus en {:.1f} s",
        "stored": "Mesure enregistrée",
        "stored many": "{} mesures enregistrées, {} doublons, {} rejets en {:.1f} s",
        "duplicate": "Mesure déjà enregistrée",
        "rejected": "Rejeté : {} (lot {}) ; les messages rejetés disent pourquoi",
        "subscription refused": "le broker {} refuse l'abonnement à {} ({}) : "
        "l'autoriser à cet utilisateur dans les droits du broker, ou changer MQTT_TOPICS",
        "name held": "le nom BRIDGE_NAME={} appartient à un autre bridge (processus {} sur {}) ; attente de "
        "sa fin. Pour avoir les deux, donner à chacun son propre BRIDGE_NAME",
        "name is ours": "le nom BRIDGE_NAME={} est libre maintenant",
        "session": "session {} auprès du broker",
        "session new": "session {} auprès du broker, nouvelle : Redis n'en connaît pas de BRIDGE_NAME={}",
        "tls unknown ca": "aucune autorité reconnue ici n'a signé le certificat de {} ({}) : "
        "donner le certificat de son autorité dans MQTT_CA_FILE",
        "tls wrong name": "le certificat de {} n'est pas pour ce nom ({}) : mettre dans MQTT_URL un nom "
        "qu'il contient, ou en faire faire un pour ce nom",
        "tls not valid now": "le certificat de {} n'est pas valable aujourd'hui ({}) : le faire renouveler, "
        "ou régler l'horloge de cette machine",
        "tls bad certificate": "le certificat de {} n'est pas accepté ({}) : le faire refaire",
        "tls client certificate": "{} veut un certificat client qu'il accepte ({}) : "
        "en donner un dans MQTT_CERT_FILE, avec sa clé dans MQTT_KEY_FILE",
        "tls refused": "{} rompt la négociation TLS ({}) : veut-il un certificat client "
        "(MQTT_CERT_FILE, MQTT_KEY_FILE) ? Sinon, les deux n'ont aucun chiffrement en commun",
        "tls version": "{} et ce bridge n'ont aucune version de TLS en commun ({}) : "
        "il doit parler la 1.2 ou plus",
        "tls none": "{} ne répond pas en TLS ({}) : MQTT_URL doit nommer le port de son écoute TLS "
        "(le plus souvent 8883), ou commencer par mqtt:// s'il n'en a pas",
        "tls closed": "{} ferme la connexion TLS sans réponse : veut-il un certificat client "
        "(MQTT_CERT_FILE, MQTT_KEY_FILE), ou un autre ?",
    },
}


def line(language: str, key: str, *values: object) -> str:
    """A line of the log in the language asked for; English where it is not known."""
    return _LINES.get(language, _LINES["en"])[key].format(*values)


def readable(payload: bytes) -> str:
    """A payload as a log can show it: one line, no control characters, not long."""
    text = payload[:200].decode(errors="replace")
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return shown + ("…" if len(payload) > 200 else "")


class Report:
    """Lets few lines through as they are, and counts the rest for a line a second."""

    def __init__(
        self,
        logger: logging.Logger,
        summarize: Callable[[list[int], float], str],
        counts: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`summarize(counts, seconds)` makes the line of a second in which there were many."""
        self._logger, self._summarize, self._clock = logger, summarize, clock
        self._since = clock()
        self._said = 0
        self._counts = [0] * counts

    def tell(self, lines: Iterable[Callable[[], str]], counts: list[int]) -> None:
        """`lines` are made only where they are said; `counts` go to the summary where they are not."""
        self.tick()
        lines = list(lines)
        if self._said + len(lines) <= FEW_A_SECOND:
            self._said += len(lines)
            for make in lines:
                self._logger.info(make())
        else:
            self._said = FEW_A_SECOND
            self._counts = [old + new for old, new in zip(self._counts, counts, strict=True)]

    def tick(self) -> None:
        """Says the summary of a second that is over."""
        now = self._clock()
        if now - self._since < 1:
            return
        if any(self._counts):
            self._logger.info(self._summarize(self._counts, now - self._since))
            self._counts = [0] * len(self._counts)
        self._since, self._said = now, 0
