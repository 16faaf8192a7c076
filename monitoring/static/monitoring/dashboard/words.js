// What scripts say, in the page's language: the server put it into the page (monitoring/dashboard/words.py).
const words = JSON.parse(document.getElementById("words").textContent);

export const say = (name, values = {}) => words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
export const sayCount = (name, count, written) => say(count === 1 ? `${name}One` : name, { n: written });
