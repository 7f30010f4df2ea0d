// Puts it together. Without scripts the page shows every finding, too; this adds what moves.

function show() {
  if (GROUPS.length) showFindings();
  redrawChart("map-chart");
}

function changed() {
  writeAddress();
  show();
}

function openGroup(id) {
  state.finding = id;
  writeAddress();
  openFinding(id, { focus: true });
}

function choose(kind, module) {
  state.kind = new Set([kind]);
  state.module = module;
  state.finding = "";
  showControls();
  changed();
  byId("findings").scrollIntoView();
}

function follow() {
  readAddress();
  if (GROUPS.length) showControls();
  show();
  if (state.finding) openFinding(state.finding);
}

const PAPER = "680px"; // what fits between the margins of A4 and of Letter

// Paper is white, and nobody can open anything on it. The map is printed as its table.
function setUpPrinting() {
  const foldable = [...document.querySelectorAll("details")];
  let before;
  addEventListener("beforeprint", () => {
    before = { theme: root.dataset.theme, open: foldable.map((element) => element.open) };
    root.dataset.theme = "light";
    for (const element of foldable) element.open = true;
    drawAllCharts();
    setChartWidth(PAPER);
    redrawCharts();
  });
  addEventListener("afterprint", () => {
    if (before.theme) root.dataset.theme = before.theme;
    else delete root.dataset.theme;
    foldable.forEach((element, index) => { element.open = before.open[index]; });
    setChartWidth("");
    redrawCharts();
  });
}

for (const element of document.querySelectorAll(".needs-script")) element.hidden = false;
for (const link of document.querySelectorAll(".bar nav a")) {
  link.addEventListener("click", (event) => { // the address keeps what is chosen
    event.preventDefault();
    document.querySelector(link.getAttribute("href")).scrollIntoView();
  });
}
readAddress();
setUpTheme(redrawCharts);
if (GROUPS.length) setUpFindings(changed);
setUpTimeline(openGroup, writeAddress);
setUpMap(choose);
setUpPrinting();
if (GROUPS.length && GROUPS.length <= 3) for (const element of elements) element.open = true;
addEventListener("hashchange", follow);
follow();
