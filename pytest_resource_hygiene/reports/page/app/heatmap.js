// The heat map: findings by module and kind, of what the other filters leave.

const ROW = 26;
const MAX_ROWS = 20; // more are scrolled to

const shortened = (text, length) => (text.length > length ? `…${text.slice(1 - length)}` : text);

function countCells() {
  const failed = failedFilters();
  const anyFails = GROUPS.some((group) => group.severity === "fail");
  const cells = new Map();
  GROUPS.forEach((group, index) => {
    if (!state.severity.size && anyFails && group.severity !== "fail") return;
    if (failed[index].some((name) => name !== "kind" && name !== "module")) return;
    for (const [module, count] of Object.entries(group.modules)) {
      if (!cells.has(module)) cells.set(module, new Map());
      const row = cells.get(module);
      row.set(group.kind, (row.get(group.kind) || 0) + count);
    }
  });
  const total = (row) => [...row.values()].reduce((sum, count) => sum + count, 0);
  const rows = [...cells].sort((one, other) => total(other[1]) - total(one[1]) || (one[0] < other[0] ? -1 : 1));
  return { rows, kinds: [...new Set(rows.flatMap(([, row]) => [...row.keys()]))].sort() };
}

// A number on a strong colour is written in that of the page.
function cell(x, y, count, most) {
  return { value: [x, y, count], label: { color: colour(count > most * 0.6 ? "card" : "text") } };
}

function drawMap(chart) {
  const { rows, kinds } = countCells();
  const most = Math.max(1, ...rows.flatMap(([, row]) => [...row.values()]));
  const data = rows.flatMap(([, row], y) => kinds.flatMap((kind, x) => (row.has(kind) ? [cell(x, y, row.get(kind), most)] : [])));
  const shownRows = Math.min(rows.length, MAX_ROWS);
  const isNarrow = chart.getWidth() < 600;
  const left = isNarrow ? 120 : 300;
  const isTight = (chart.getWidth() - left) / kinds.length < 90;
  const text = { color: colour("dim"), fontFamily: FONT, fontSize: 12 };
  const axis = { axisLine: { show: false }, axisTick: { show: false }, type: "category" };
  chart.getDom().style.height = `${Math.max(shownRows, 1) * ROW + 84}px`;
  chart.resize();
  chart.setOption({
    animation: false,
    grid: { left, right: rows.length > MAX_ROWS || isTight ? 44 : 16, top: 70, bottom: 14 },
    xAxis: {
      ...axis, data: kinds, position: "top", splitArea: { show: false },
      axisLabel: { ...text, interval: 0, rotate: isTight ? -40 : 0 },
    },
    yAxis: {
      ...axis, data: rows.map(([module]) => module), inverse: true,
      axisLabel: { ...text, formatter: (module) => shortened(module, isNarrow ? 16 : 42) },
    },
    visualMap: {
      show: false, min: 0, max: most, dimension: 2,
      inRange: { color: [colour("fail-soft"), colour("fail")] },
    },
    dataZoom: rows.length > MAX_ROWS ? [
      { type: "slider", yAxisIndex: 0, right: 10, width: 16, startValue: 0, endValue: MAX_ROWS - 1, showDetail: false, zoomLock: true, brushSelect: false, borderColor: colour("line"), fillerColor: colour("sunken") },
    ] : [],
    tooltip: {
      ...tooltipStyle(),
      formatter: ({ value: [x, y, count] }) => {
        const box = make("div");
        box.append(make("strong", rows[y][0]), make("div", numberText(count, `finding`) + ` of ${kinds[x]}`));
        return box;
      },
    },
    series: [{
      type: "heatmap", data, progressive: 0, cursor: "pointer",
      label: { show: true, fontFamily: FONT },
      itemStyle: { borderColor: colour("card"), borderWidth: 2, borderRadius: 4 },
      emphasis: { itemStyle: { borderColor: colour("accent") } },
    }],
  }, true);
}

function setUpMap(choose) {
  const element = byId("map-chart");
  if (!element) return;
  chartIn(element, drawMap, (chart) => {
    chart.on("click", ({ value: [x, y] }) => {
      const { rows, kinds } = countCells();
      choose(kinds[x], rows[y][0]);
    });
  });
}
