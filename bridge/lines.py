"""The lines of the bridge's log, in the languages that it speaks."""

from functools import partial

from process.report import say

_LINES = {
    "en": {
        "connected": "MQTT connected with code: {}",
        "received": "Message received: {}",
        "received many": "{} messages received in {:.1f} s",
        "subscription refused": "the broker at {} refuses the subscription to {} ({}): "
        "allow it to this user in the broker's access list, or change MQTT_TOPICS",
        "topic covered": "MQTT_TOPICS: {} is left out, since {} covers it: its messages would come twice",
        "topics overlap": "MQTT_TOPICS: {} and {} overlap: what both match may come twice, "
        "and without `ts` it is stored twice. Give filters that have no topic in common",
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
        "subscription refused": "le broker {} refuse l'abonnement à {} ({}) : "
        "l'autoriser à cet utilisateur dans les droits du broker, ou changer MQTT_TOPICS",
        "topic covered": "MQTT_TOPICS : {} est laissé de côté, car {} le couvre : "
        "ses messages viendraient deux fois",
        "topics overlap": "MQTT_TOPICS : {} et {} se recoupent : ce qui répond aux deux peut venir "
        "deux fois, et sans `ts` il est enregistré deux fois. Donner des filtres sans topic commun",
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

line = partial(say, _LINES)
