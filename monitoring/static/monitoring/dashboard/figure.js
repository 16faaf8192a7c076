// Numbers as the page's language writes them: to six digits, as the server does (templatetags/dashboard.py).
const lang = document.documentElement.lang;
const plain = new Intl.NumberFormat(lang, { maximumSignificantDigits: 6, useGrouping: "min2" });
const point = new Intl.NumberFormat(lang).format(1.5).charAt(1);

export function figure(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) {
    // As Python's %g: 1e+06.
    const [digits, power] = Number(value.toPrecision(6)).toExponential().split("e");
    const short = power.length < 3 ? power.replace(/(\d)$/, "0$1") : power;
    return `${digits.replace(".", point)}e${short}`;
  }
  return plain.format(value);
}

export const whole = (count) => new Intl.NumberFormat(lang, { useGrouping: "min2" }).format(count);
