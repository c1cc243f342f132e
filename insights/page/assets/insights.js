// Draws each chart from the table beside it, and says when a page that looks again by itself could not.
"use strict";
(() => {
  const HEIGHT = 220;
  const COLOURS = 6;
  // Those who cannot tell colours apart tell lines apart.
  const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [1, 5]];
  const WRITTEN = {
    share: (value) => `${+(value * 100).toPrecision(3)} %`,
    count: (value) => value.toLocaleString("en"),
    seconds: (value) => (value !== 0 && Math.abs(value) < 1 ? `${+(value * 1000).toPrecision(3)} ms` : `${+value.toPrecision(4)} s`),
    number: (value) => `${+value.toPrecision(4)}`,
  };
  const DAY_S = 86400;
  const drawn = new Map();

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // As the tables have it; of a whole day no time.
  const moment = (seconds) => new Date(seconds * 1000).toISOString().slice(0, seconds % DAY_S ? 16 : 10).replace("T", " ");
  const tick = (seconds) => (seconds % DAY_S ? moment(seconds).slice(11) : moment(seconds).slice(5));

  function figures(figure) {
    const cells = (row) => Array.from(row.cells, (cell) => (cell.dataset.value === undefined ? null : Number(cell.dataset.value)));
    const rows = Array.from(figure.querySelectorAll("tbody tr"), cells);
    const names = Array.from(figure.querySelectorAll("thead th"), (cell) => cell.textContent);
    return { names, columns: names.map((_, nth) => rows.map((row) => row[nth])) };
  }

  // Each on top of those before it.
  function stacked(columns) {
    const [places, ...values] = columns;
    const sums = places.map(() => 0);
    return [places, ...values.map((column) => column.map((value, nth) => (sums[nth] += value ?? 0)))];
  }

  function lineOf(name, nth, isStacked, write, shown) {
    const colour = token(`--c${((nth - 1) % COLOURS) + 1}`);
    return {
      label: name,
      stroke: colour,
      width: 2,
      dash: isStacked ? [] : DASHES[(nth - 1) % DASHES.length],
      fill: isStacked ? colour : undefined,
      points: { show: isStacked ? shown[0].length === 1 : shown[0].length < 40, size: 5, fill: colour },
      value: (_, __, ___, place) => (place === null || shown[nth][place] === null ? "–" : write(shown[nth][place])),
    };
  }

  function axisOf(more) {
    const line = token("--line");
    return { stroke: token("--faint"), grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui, sans-serif", ...more };
  }

  function draw(figure) {
    drawn.get(figure)?.destroy();
    const canvas = figure.querySelector(".canvas");
    const { names, columns } = figures(figure);
    const isStacked = figure.dataset.chart === "stacked";
    const isOverTime = "time" in figure.dataset;
    const write = WRITTEN[figure.dataset.unit];
    const lines = names.slice(1).map((name, nth) => lineOf(name, nth + 1, isStacked, write, columns));
    const data = isStacked ? stacked(columns) : columns;
    const place = (_, value) => (value === null ? "" : isOverTime ? moment(value) : value);
    const span = isOverTime ? DAY_S : 1;
    const options = {
      width: canvas.clientWidth,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: {
        // Of a single place uPlot would show years around it.
        x: { time: isOverTime, ...(columns[0].length === 1 && { range: (_, at) => [at - span, at + span] }) },
        y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high ?? 0) > 0 ? high * 1.05 : 1] },
      },
      series: [{ label: names[0], value: place }, ...lines],
      axes: [axisOf({ space: 60, ...(isOverTime && { values: (_, ticks) => ticks.map(tick) }) }), axisOf({ size: 64, values: (_, ticks) => ticks.map(write) })],
      cursor: { drag: { x: false, y: false } },
    };
    // Without bands each area would reach down to 0 and hide those below it.
    if (isStacked) {
      options.bands = lines.slice(1).map((_, nth) => ({ series: [nth + 2, nth + 1] }));
    }
    figure.classList.add("drawn");
    drawn.set(figure, new uPlot(options, data, canvas));
  }

  function drawAll() {
    for (const [figure, plot] of drawn) {
      if (!figure.isConnected) {
        plot.destroy();
        drawn.delete(figure);
      }
    }
    document.querySelectorAll("figure[data-chart]").forEach(draw);
  }

  let width = innerWidth;
  addEventListener("resize", () => {
    if (width !== innerWidth) {
      width = innerWidth;
      drawAll();
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.addEventListener("htmx:after:swap", drawAll);
  const stale = (is) => document.body.classList.toggle("is-stale", is);
  document.addEventListener("htmx:error", () => stale(true));
  document.addEventListener("htmx:response:error", (event) => {
    // The session is over: loaded anew, the page leads to where one signs in.
    if (event.detail?.ctx?.response?.status === 401) {
      location.reload();
    }
    stale(true);
  });
  document.addEventListener("htmx:after:swap", (event) => stale((event.detail?.ctx?.response?.status ?? 200) >= 400));
  drawAll();
})();
