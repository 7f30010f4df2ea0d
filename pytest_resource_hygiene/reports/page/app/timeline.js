// The timeline: what was open after each test, one strip for each level, over the whole run.

const LEVELS = {
  fds: "descriptors", sockets: "sockets", threads: "threads", tasks: "tasks",
  children: "children", rss_kib: "memory MiB",
};
const LEVEL_OF_KIND = {
  fds: "fds", sockets: "sockets", threads: "threads", tasks: "tasks",
  processes: "children", memory: "rss_kib",
};
const WORKER_COLOURS = ["accent", "good", "known", "note", "allowed"];
const SLIDER = 610; // pixels from the top at which the slider begins
const NEAR = 12; // pixels within which a click means a leaking test

const isShown = (level) => TIMELINE.levels[level] !== null;
const shownLevels = () => Object.keys(LEVELS).filter(isShown);
const valueOf = (level, position) => {
  const value = TIMELINE.levels[level][position];
  return value !== null && level === "rss_kib" ? Math.round(value / 102.4) / 10 : value;
};

function nodeidOf(position) {
  const name = TIMELINE.tests.name[position];
  const module = TIMELINE.modules[TIMELINE.tests.module[position]];
  return name ? `${module}::${name}` : module;
}

const xOf = (position) => (state.axis === "time" ? TIMELINE.tests.start_ms[position] / 1000 : position + 1);

// Returns the position of the test that begins nearest to a place on the axis.
function positionAt(x) {
  let low = 0;
  let high = TIMELINE.tests.name.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xOf(middle) < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - xOf(low - 1) < xOf(low) - x ? low - 1 : low;
}

const groupsOfTest = new Map();
GROUPS.forEach((group) => {
  for (const position of group.tests) {
    if (!groupsOfTest.has(position)) groupsOfTest.set(position, []);
    groupsOfTest.get(position).push(group);
  }
});
const failingGroups = (position) =>
  (groupsOfTest.get(position) || []).filter((group) => group.severity === "fail");
const kindsOf = (position) => [...new Set(failingGroups(position).map((group) => group.kind))];

function duration(microseconds) {
  if (microseconds < 1000) return `${microseconds} µs`;
  return microseconds < 1e6 ? `${(microseconds / 1e3).toPrecision(3)} ms` : `${(microseconds / 1e6).toFixed(2)} s`;
}

let pointed = null; // returns the place on the axis that is pointed at, or that a button leads to

function tip(position) {
  const box = make("div");
  box.append(make("strong", nodeidOf(position)));
  const { worker, duration_us: took, start_ms: start } = TIMELINE.tests;
  const where = TIMELINE.workers.length > 1 ? ` on ${TIMELINE.workers[worker[position]]}` : "";
  box.append(make("div", `test ${position + 1}${where}, after ${(start[position] / 1000).toFixed(2)} s, took ${duration(took[position])}`));
  const kinds = kindsOf(position);
  if (kinds.length) box.append(make("div", `leaked ${kinds.join(", ")}: click to see`, "leak"));
  const table = make("table");
  for (const level of shownLevels()) {
    const row = make("tr");
    row.append(make("td", LEVELS[level]), make("td", String(valueOf(level, position) ?? "?")));
    table.append(row);
  }
  box.append(table);
  return box;
}

function grids(levels, width) {
  const left = width < 600 ? 44 : 60;
  const first = { left, right: 16, top: 28, height: 14 };
  const space = 540 / levels.length;
  return [first, ...levels.map((_, index) => (
    { left, right: 16, top: 62 + index * space, height: space - 26 }
  ))];
}

function axes(count) {
  const last = xOf(TIMELINE.tests.name.length - 1);
  const names = ["leaks", ...shownLevels().map((level) => LEVELS[level])];
  const text = { color: colour("dim"), fontFamily: FONT, fontSize: 11 };
  return {
    xAxis: names.map((_, index) => ({
      type: "value", gridIndex: index, min: state.axis === "time" ? 0 : 1, max: Math.max(last, 1.001),
      axisLabel: { show: index === count, ...text, formatter: state.axis === "time" ? "{value} s" : "{value}" },
      axisPointer: { snap: false, triggerEmphasis: false }, axisTick: { show: false }, splitLine: { show: false },
      axisLine: { show: index > 0, lineStyle: { color: colour("line") } },
    })),
    yAxis: names.map((name, index) => ({
      type: "value", gridIndex: index, name, nameLocation: "end", nameGap: index ? 5 : 2,
      nameTextStyle: { ...text, align: "left", fontWeight: 600 },
      min: index ? 0 : -1, max: index ? undefined : 1, minInterval: 1, splitNumber: 2,
      axisLine: { show: false }, axisTick: { show: false }, axisLabel: { show: index > 0, ...text, hideOverlap: true }, splitLine: { show: index > 0, lineStyle: { color: colour("line") } },
    })),
  };
}

// Returns where a level changes, and its last place: between them the line is flat anyway.
function changesOf(level, worker) {
  const points = [];
  const { worker: workers } = TIMELINE.tests;
  let before; // the value of the worker's test before
  let last = -1;
  for (let position = 0; position < workers.length; position += 1) {
    if (workers[position] !== worker) continue;
    const value = valueOf(level, position);
    if (value !== before) points.push([xOf(position), value]);
    before = value;
    last = position;
  }
  if (last >= 0) points.push([xOf(last), before]);
  return points;
}

function lineSeries(level, grid, worker, colourOfLine) {
  return {
    type: "line", xAxisIndex: grid, yAxisIndex: grid, data: changesOf(level, worker), step: "end",
    symbol: TIMELINE.tests.name.length > 1 ? "none" : "circle", silent: true, emphasis: { disabled: true },
    itemStyle: { color: colourOfLine }, lineStyle: { color: colourOfLine, width: 1.5 },
    areaStyle: TIMELINE.workers.length === 1 ? { color: colourOfLine, opacity: 0.1 } : undefined,
  };
}

function leakSeries(level, grid) {
  const positions = TIMELINE.leaked.filter(
    (position) => !level || kindsOf(position).some((kind) => LEVEL_OF_KIND[kind] === level),
  );
  return {
    type: "scatter", xAxisIndex: grid, yAxisIndex: grid, itemStyle: { color: colour("fail") },
    symbol: level ? "circle" : "rect", symbolSize: level ? 6 : [2, 14], z: 5, cursor: "pointer",
    data: positions.map((position) => [xOf(position), level ? valueOf(level, position) : 0]),
  };
}

function drawTimeline(chart) {
  const levels = shownLevels();
  const series = [leakSeries("", 0)];
  levels.forEach((level, index) => {
    TIMELINE.workers.forEach((_, worker) => {
      series.push(lineSeries(level, index + 1, worker, colour(WORKER_COLOURS[worker % WORKER_COLOURS.length])));
    });
    series.push(leakSeries(level, index + 1));
  });
  const all = [0, ...levels.map((_, index) => index + 1)];
  chart.setOption({
    animation: false,
    grid: grids(levels, chart.getWidth()),
    ...axes(levels.length),
    series,
    axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: colour("dim") } },
    tooltip: { trigger: "axis", formatter: (points) => tip(positionAt(pointed?.() ?? points[0].axisValue)), ...tooltipStyle() },
    dataZoom: [
      { type: "inside", xAxisIndex: all, zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, filterMode: "none" },
      {
        type: "slider", xAxisIndex: all, bottom: 14, height: 18, filterMode: "none", showDetail: false,
        borderColor: colour("line"), fillerColor: colour("sunken"), handleStyle: { color: colour("accent") },
      },
    ],
  }, { replaceMerge: ["series", "grid", "xAxis", "yAxis"] });
}

// Says of a test what a screen reader cannot see in the picture, and leads on to its findings.
function announce(position) {
  const status = byId("timeline-status");
  const groups = failingGroups(position);
  status.textContent = groups.length
    ? `${nodeidOf(position)} leaked ${kindsOf(position).join(", ")}. `
    : `${nodeidOf(position)} left nothing behind.`;
  for (const group of groups) {
    const link = make("a", `Show ${group.kind}`);
    link.href = `#finding=${encodeURIComponent(group.id)}`;
    status.append(link, " ");
  }
}

function nearestLeak(chart, offsetX) {
  const distance = (position) => Math.abs(chart.convertToPixel({ xAxisIndex: 0 }, xOf(position)) - offsetX);
  let best = -1;
  for (const position of TIMELINE.leaked) {
    if (best < 0 || distance(position) < distance(best)) best = position;
  }
  return best >= 0 && distance(best) <= NEAR ? best : -1;
}

function setUpTimeline(openGroup, changed) {
  if (!TIMELINE || !byId("timeline-chart")) return;
  let at = -1;
  let shown = null;
  const step = (by) => {
    if (!TIMELINE.leaked.length) return;
    at = (at + by + TIMELINE.leaked.length) % TIMELINE.leaked.length;
    announce(TIMELINE.leaked[at]);
    pointed = () => xOf(TIMELINE.leaked[at]);
    shown?.dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: at });
  };
  byId("next-leak").addEventListener("click", () => step(1));
  byId("previous-leak").addEventListener("click", () => step(at < 0 ? 0 : -1));
  for (const id of ["next-leak", "previous-leak"]) byId(id).disabled = !TIMELINE.leaked.length;
  const byTime = byId("by-time");
  byTime.setAttribute("aria-pressed", String(state.axis === "time"));
  byTime.addEventListener("click", () => {
    state.axis = state.axis === "time" ? "" : "time";
    byTime.setAttribute("aria-pressed", String(state.axis === "time"));
    redrawChart("timeline-chart");
    changed();
  });
  chartIn(byId("timeline-chart"), drawTimeline, (chart) => {
    shown = chart;
    // Lines hold only their changes, so the nearest point of a line is not the nearest test.
    const follow = (event) => {
      pointed = () => chart.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
    };
    chart.getDom().addEventListener("mousemove", follow, { capture: true });
    chart.getZr().on("click", (event) => {
      const leak = nearestLeak(chart, event.offsetX);
      if (event.offsetY > SLIDER) return;
      announce(leak >= 0 ? leak : positionAt(chart.convertFromPixel({ xAxisIndex: 0 }, event.offsetX)));
      if (leak >= 0 && failingGroups(leak).length) openGroup(failingGroups(leak)[0].id);
    });
  });
}
