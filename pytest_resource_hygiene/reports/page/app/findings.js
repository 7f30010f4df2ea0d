// Filters and search: hides findings, counts what is left, opens the one that is asked for.

const elements = GROUPS.map((group) => byId(group.id));
const texts = []; // filled by the first search

function textOf(index) {
  texts[index] ??= elements[index].textContent.toLowerCase();
  return texts[index];
}

const tests = {
  kind: (group) => !state.kind.size || state.kind.has(group.kind),
  severity: (group) => !state.severity.size || state.severity.has(group.severity),
  module: (group) => !state.module || Object.hasOwn(group.modules, state.module),
  owner: (group) => !state.owner || group.owners.includes(state.owner),
  q: (group, index, words) => words.every((word) => textOf(index).includes(word)),
};

// Returns, for each group, the filters that it does not pass.
function failedFilters() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const names = Object.keys(tests);
  return GROUPS.map((group, index) => names.filter((name) => !tests[name](group, index, words)));
}

const numberText = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

function showFindings() {
  const failed = failedFilters();
  let shown = 0;
  elements.forEach((element, index) => {
    element.hidden = failed[index].length > 0;
    shown += !element.hidden;
  });
  showCounts(failed);
  const isAll = shown === GROUPS.length;
  byId("shown").textContent = isAll
    ? numberText(shown, "place")
    : `${shown.toLocaleString("en")} of ${numberText(GROUPS.length, "place")}`;
  byId("clear").hidden = isAll;
}

// A chip tells how many would be left if it alone were chosen among its like.
function showCounts(failed) {
  for (const chip of document.querySelectorAll(".chip")) {
    const { filter, value } = chip.dataset;
    const count = GROUPS.filter(
      (group, index) => group[filter] === value && failed[index].every((name) => name === filter),
    ).length;
    chip.querySelector(".count").textContent = count.toLocaleString("en");
    chip.classList.toggle("none", count === 0);
    chip.setAttribute("aria-pressed", String(state[filter].has(value)));
  }
}

function showControls() {
  byId("query").value = state.q;
  byId("module").value = state.module;
  byId("owner").value = state.owner;
}

function openFinding(id, { focus = false } = {}) {
  const element = elements[GROUPS.findIndex((group) => group.id === id)];
  document.querySelector(".found")?.classList.remove("found");
  if (!element) return;
  element.hidden = false;
  element.open = true;
  element.classList.add("found");
  element.scrollIntoView();
  if (focus) element.querySelector("summary").focus({ preventScroll: true });
}

function setUpFindings(changed) {
  const choose = (name, value) => {
    state[name] = value;
    state.finding = "";
    changed();
  };
  byId("query").addEventListener("input", (event) => choose("q", event.target.value));
  byId("module").addEventListener("change", (event) => choose("module", event.target.value));
  byId("owner").addEventListener("change", (event) => choose("owner", event.target.value));
  for (const chip of document.querySelectorAll(".chip")) {
    chip.addEventListener("click", () => {
      const { filter, value } = chip.dataset;
      const chosen = new Set(state[filter]);
      if (!chosen.delete(value)) chosen.add(value);
      choose(filter, chosen);
    });
  }
  byId("clear").addEventListener("click", () => {
    for (const name of MANY) state[name] = new Set();
    for (const name of ONE) if (name !== "axis") state[name] = "";
    showControls();
    changed();
  });
  const all = byId("toggle-all");
  all.addEventListener("click", () => {
    const open = all.getAttribute("aria-pressed") !== "true";
    for (const element of elements) if (!element.hidden) element.open = open;
    all.setAttribute("aria-pressed", String(open));
    all.textContent = open ? "Close all" : "Open all";
  });
}
