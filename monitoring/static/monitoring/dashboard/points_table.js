// The chart as a table: a row a point, the newest first, and a row for each gap.
import { between, lasting, moment, nameOfZone } from "./moments.js";
import { say } from "./words.js";

export function pointsTable(columns, isRaw, write, unit) {
  const table = document.createElement("table");
  const head = isRaw ? [say("time"), say("value")] : [say("time"), say("average"), say("lowest"), say("highest"), say("count")];
  const top = table.createTHead().insertRow();
  for (const [place, title] of head.entries()) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.className = place ? "number" : "";
    cell.textContent = place && title !== say("count") && unit ? `${title} (${unit})` : title;
    top.append(cell);
  }
  const body = table.createTBody();
  for (let place = columns.t.length - 1; place >= 0; place--) {
    const row = body.insertRow();
    const [start, end] = [columns.start[place], columns.end[place]];
    const cell = (text, isNumber) => Object.assign(row.insertCell(), { textContent: text, className: isNumber ? "number" : "" });
    if (columns.min[place] === null) {
      row.className = "nothing";
      cell(between(start, end));
      cell(say("nothing", { long: lasting(end - start) })).colSpan = head.length - 1;
    } else if (isRaw) {
      cell(`${moment(start, true)} ${nameOfZone(start)}`);
      cell(write(columns.avg[place]), true);
    } else {
      cell(`${between(start, end)} ${nameOfZone(start)}`);
      for (const name of ["avg", "min", "max"]) cell(write(columns[name][place], name === "avg"), true);
      cell(String(columns.count[place]), true);
    }
  }
  return table;
}
