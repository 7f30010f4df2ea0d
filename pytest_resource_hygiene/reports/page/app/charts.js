// What both charts share: drawn when they come into view, in the colours of the page.

const FONT = getComputedStyle(document.body).fontFamily;
const drawn = new Map(); // for each chart that has been in view, a function that draws it anew
const undrawn = []; // a function for each that is not yet

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

function drawAllCharts() {
  for (const begin of [...undrawn]) begin();
}

function redrawCharts() {
  for (const draw of drawn.values()) draw();
}

// Fits the charts to paper, or with an empty width to the page again.
function setChartWidth(width) {
  for (const element of document.querySelectorAll(".chart")) {
    element.style.width = width;
    echarts.getInstanceByDom(element)?.resize();
  }
}

function redrawChart(id) {
  drawn.get(id)?.();
}

// Makes a chart when its place is about to be seen; `draw` gets it each time it has to be drawn.
function chartIn(element, draw, ready) {
  const begin = () => {
    observer.disconnect();
    undrawn.splice(undrawn.indexOf(begin), 1);
    const chart = echarts.init(element);
    const drawNow = () => {
      draw(chart);
      chart.getZr().flush(); // a printer does not wait for the next frame
    };
    drawn.set(element.id, drawNow);
    drawNow();
    new ResizeObserver(() => chart.resize()).observe(element);
    ready?.(chart);
  };
  const observer = new IntersectionObserver((seen) => {
    if (seen.some((one) => one.isIntersecting)) begin();
  }, { rootMargin: "400px" });
  undrawn.push(begin);
  observer.observe(element);
}

function tooltipStyle() {
  return {
    className: "tip",
    confine: true,
    backgroundColor: colour("card"),
    borderColor: colour("line"),
    textStyle: { color: colour("text"), fontFamily: FONT },
  };
}

// Text goes in as text: a node id may hold anything.
function make(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}
