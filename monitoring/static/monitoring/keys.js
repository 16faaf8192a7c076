/* Keys of the inbox. In lists j and k move the focus from row to row, and Enter opens since the focus is on a
   link. On the page of a message a key goes to what has it as data-key: a field gets the focus, anything else
   is pressed. What is typed into a field stays there. */
"use strict";

(() => {
    const FIELDS = "textarea, select, [contenteditable], input:not([type=checkbox]):not([type=radio])";

    function move(step) {
        const rows = [...document.querySelectorAll("[data-row]")];
        const at = rows.findIndex((row) => row.contains(document.activeElement));
        const to = at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step;
        rows[to]?.querySelector("[data-open]").focus();
        return rows.length > 0;
    }

    function press(key) {
        const target = document.querySelector(`[data-key="${key}"]`);
        if (target === null) return false;
        if (target.matches(FIELDS)) {
            const closed = target.closest("details:not([open])");
            if (closed) closed.open = true;
            target.focus();
        } else {
            target.click();
        }
        return true;
    }

    document.addEventListener("keydown", (event) => {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat && !"jk".includes(event.key)) return;
        if (event.target instanceof Element && event.target.closest(FIELDS)) return;
        if (!/^[jkerd]$/.test(event.key)) return;
        const isMove = event.key === "j" || event.key === "k";
        if ((isMove && move(event.key === "j" ? 1 : -1)) || press(event.key)) event.preventDefault();
    });
})();
