// Numbers as the page's language writes them, wherever they stand: as the server does (templatetags/dashboard.py).
const lang = document.documentElement.lang;
const plain = new Intl.NumberFormat(lang, { maximumSignificantDigits: 6, useGrouping: "min2" });
const large = new Intl.NumberFormat(lang, { maximumFractionDigits: 0, useGrouping: "min2" });
const point = new Intl.NumberFormat(lang).format(1.5).charAt(1);

// To six digits, or to the whole number that has more of them.
export function figure(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) {
    // As Python's %g: 1e+09.
    const [digits, power] = Number(value.toPrecision(6)).toExponential().split("e");
    const short = power.length < 3 ? power.replace(/(\d)$/, "0$1") : power;
    return `${digits.replace(".", point)}e${short}`;
  }
  return (size < 1e5 ? plain : large).format(value);
}

// An average of readings that have so many digits behind the point (3: or more): it has one more. Of readings that
// are tiny themselves it is as tiny.
export function average(value, digits) {
  const isTiny = digits >= 3 && Math.abs(value) < 1e-4;
  return figure(isTiny ? value : Number(value.toFixed(digits + 1)) || 0);
}

export const whole = (count) => new Intl.NumberFormat(lang, { useGrouping: "min2" }).format(count);
