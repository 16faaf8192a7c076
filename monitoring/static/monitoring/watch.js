/* Asks for this page again while what it shows is under way, and puts the new state in its place. Not while
   somebody has the focus in it: a button must not go away under a finger. */
"use strict";

(() => {
    async function again() {
        const shown = document.getElementById("watched");
        try {
            const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
            if (answer.ok && !answer.redirected) {
                const page = new DOMParser().parseFromString(await answer.text(), "text/html");
                const found = page.getElementById("watched");
                if (found && !(shown.contains(document.activeElement) && found.dataset.watch)) shown.replaceWith(found);
            }
        } catch {
            // The server is away: the next round asks again.
        }
        const wait = Number(document.getElementById("watched").dataset.watch);
        if (wait) setTimeout(again, document.hidden ? 10 * wait : wait);
    }

    setTimeout(again, Number(document.getElementById("watched").dataset.watch));
})();
