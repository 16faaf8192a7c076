// How many streams one browser may hold: over HTTP/1.1 it has six connections to a site, for all its windows
// together, and with as many streams nothing else would load. Four may be streams; other windows ask instead.
//
// In localStorage, since Web Locks want https, which a site in a local network does not have. A place that is not
// renewed for some seconds is free: its window has gone.

const PLACES = 4;
const FREE_AFTER_MS = 6000;

export class Slot {
  #who = Math.random().toString(36).slice(2);
  #key = null;

  // Whether there is one. Where nothing can be stored nobody can tell, and there is.
  async take() {
    if (this.#key !== null) return true;
    try {
      for (let place = 0; place < PLACES; place++) {
        const key = `iot-live-${place}`;
        if (!isFree(key)) continue;
        this.#write(key);
        // Another window may have taken it at the same moment: the last to write has it.
        await new Promise((resolve) => setTimeout(resolve, 30 + 40 * Math.random()));
        if (!this.#holds(key)) continue;
        this.#key = key;
        return true;
      }
      return false;
    } catch {
      return true;
    }
  }

  renew() {
    if (this.#key !== null) this.#write(this.#key);
  }

  release() {
    if (this.#key !== null && this.#holds(this.#key)) localStorage.removeItem(this.#key);
    this.#key = null;
  }

  #holds(key) {
    return (localStorage.getItem(key) ?? "").startsWith(`${this.#who} `);
  }

  #write(key) {
    localStorage.setItem(key, `${this.#who} ${Date.now()}`);
  }
}

function isFree(key) {
  const [who, at] = (localStorage.getItem(key) ?? "").split(" ");
  return !who || Math.abs(Date.now() - Number(at)) > FREE_AFTER_MS;
}
