// A sensor's last day in the admin: the dashboard's own chart in the place of the server's drawing. Whoever drags over it
// is led to that span on the sensor's page.
const box = document.getElementById("day-chart");
const { sensor, zone, page, from, to } = box.dataset;
// moments.js reads it when it is loaded.
document.documentElement.dataset.zone = zone;
const { Chart } = await import("./chart.js");
const { columns, fetchSeries } = await import("./series.js");

const [start, end] = [Date.parse(from), Date.parse(to)];
const at = (moment) => new Date(moment).toISOString();
const wanted = Math.max(100, Math.min(1000, box.clientWidth));

// Where the series cannot be had the drawing stays.
const [series] = await fetchSeries([sensor], start, end, wanted, zone).catch(() => []);
if (series?.points.length) {
  box.replaceChildren();
  const chart = new Chart(box, {
    onZoom: (low, high) => location.assign(`${page}?${new URLSearchParams({ from: at(low), to: at(high) })}`),
  });
  chart.show(start, end, [{ columns: columns(series, start, end), shift: 0, scale: "y", colour: "series-1", isRaw: series.resolution === "raw" }]);
  // unfold's theme is a class, of which no media query tells.
  new MutationObserver(() => chart.make()).observe(document.documentElement, { attributeFilter: ["class"] });
  document.getElementById("day-foot").hidden = true;
  document.getElementById("day-hint").hidden = false;
}
