"""What a worker's log says of the batches that it stores, in the languages that it speaks."""

from functools import partial

from process.report import say

_LINES = {
    "en": {
        "stored": "Measurement stored",
        "stored many": "{} measurements stored, {} duplicates, {} rejected in {:.1f} s",
        "duplicate": "Measurement stored before",
        "rejected": "Rejected: {} (batch {}); the rejected messages say why",
    },
    "fr": {
        "stored": "Mesure enregistrée",
        "stored many": "{} mesures enregistrées, {} doublons, {} rejets en {:.1f} s",
        "duplicate": "Mesure déjà enregistrée",
        "rejected": "Rejeté : {} (lot {}) ; les messages rejetés disent pourquoi",
    },
}

line = partial(say, _LINES)
