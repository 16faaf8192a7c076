// What unfold leaves to the mouse, for keys and readers of screens; and one theme for the admin and the dashboard.

const THEME = "adminTheme"; // unfold's, in this browser's store: "auto", "light" or "dark", as JSON
const chosen = () => JSON.parse(localStorage.getItem(THEME) ?? '"auto"');

// Before unfold reads it: the theme that the dashboard's cookie names.
const said = /(?:^|; )theme=(auto|light|dark)/.exec(document.cookie)?.[1];
if (said) localStorage.setItem(THEME, JSON.stringify(said));
const before = chosen();
addEventListener("pagehide", () => {
    if (chosen() === before) return;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `theme=${chosen()}; Path=/; Max-Age=${365 * 24 * 3600}; SameSite=Lax${secure}`;
});

// A button with data-opens="id" shows something: the focus goes into it, and comes back when it is closed.
let opened = null; // {button, target}
const inside = (target) => [...target.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea")].filter(
    (one) => !one.disabled && one.tabIndex >= 0 && one.checkVisibility(),
);

// unfold shows and hides it in its own time: looked at for some frames.
function settle(frames = 30) {
    if (!opened) return;
    const { button, target, isShown } = opened;
    const isSeen = target.checkVisibility();
    if (isSeen && !isShown) {
        opened.isShown = true;
        inside(target)[0]?.focus();
    } else if (!isSeen && isShown) {
        opened = null;
        // Whoever has gone elsewhere by then stays there.
        if (document.activeElement === document.body || target.contains(document.activeElement)) button.focus();
    } else if (frames) {
        requestAnimationFrame(() => settle(frames - 1));
    }
}

// Before unfold's own listeners, while what is closed is not to be seen yet.
addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-opens]");
    const target = button && document.getElementById(button.dataset.opens);
    if (target && !target.checkVisibility()) opened = { button, target, isShown: false };
    settle();
}, true);

document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") settle();
    const dialog = event.target.closest?.("[role=dialog]");
    if (event.key !== "Tab" || !dialog || event.target !== inside(dialog).at(event.shiftKey ? 0 : -1)) return;
    event.preventDefault();
    inside(dialog).at(event.shiftKey ? -1 : 0).focus();
});

// A sign's letters are its name in the font: nothing to be read out where words stand beside it.
document.addEventListener("DOMContentLoaded", () => {
    for (const sign of document.querySelectorAll(".material-symbols-outlined")) {
        const holder = sign.closest("a, button, [role=button]") ?? sign.parentElement;
        const name = holder.title || holder.ariaLabel || holder.textContent.replace(sign.textContent, "").trim();
        if (!name) continue;
        sign.ariaHidden = "true";
        if (holder.title && !holder.ariaLabel && holder.textContent.trim() === sign.textContent.trim()) holder.ariaLabel = holder.title;
    }
});
